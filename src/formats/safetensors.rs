//! safetensors: one `model.safetensors`, or the shards that `model.safetensors.index.json` lists.

use super::memory::{ALLOCATION, MAX_NAME, Memory, check_table, growing};
use super::safetensors_json::{Entry, Index, parse_bytes, parse_header, parse_index};
use super::source::{ByteSource, Files, is_plain_name};
use super::{DType, TensorFile, TensorInfo, gguf};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::rc::Rc;

/// Name of an unsharded model.
const SINGLE: &str = "model.safetensors";
/// Name of the list of shards.
const INDEX: &str = "model.safetensors.index.json";
/// Longest header, and longest index, that is accepted (the format's own limit).
const HEADER_LIMIT: u64 = 100_000_000;
/// What a tensor takes beside its name and shape: its row of the table, and of the tables that check names and places.
const TENSOR: u64 = growing::<TensorInfo>() + 3 * ALLOCATION + 100;

/// Reads the headers of all shards; no tensor data. Errors: `bad-file` for files that break the format or whose headers
/// would take too much memory, `unsupported-format` for tensor types that are not supported, `download-failed` for
/// missing files.
pub async fn read(files: &dyn Files) -> Result<TensorFile> {
    let mut memory = Memory::default();
    let mut file = TensorFile { sources: Vec::new(), tensors: Vec::new() };
    if let Some(source) = files.open(SINGLE).await? {
        add(&mut file, source, &mut memory).await?;
        check_table(&mut file.tensors, SINGLE)?;
        return Ok(file);
    }
    let Some(source) = files.open(INDEX).await? else {
        return Err(Error::DownloadFailed(format!(
            "there is neither {SINGLE} nor {INDEX}; a model of .bin or .pt files (pickles) has to be converted to \
             safetensors or GGUF first"
        )));
    };
    let index = read_index(&*source, &mut memory).await?;
    if let Some(shard) = index.shards.iter().find(|shard| !is_plain_name(shard)) {
        return Err(Error::BadFile(format!(
            "{INDEX} names the shard {shard:?}; a shard has to be a plain file name in the same folder"
        )));
    }
    for shard in &index.shards {
        let source = files
            .open(shard)
            .await?
            .ok_or_else(|| Error::DownloadFailed(format!("{shard} is missing, but {INDEX} lists it")))?;
        add(&mut file, source, &mut memory).await?;
    }
    check_table(&mut file.tensors, INDEX)?;
    gguf::check_names(&file.tensors, INDEX)?;
    let places: HashMap<&str, usize> = file.tensors.iter().map(|t| (t.name.as_str(), t.source)).collect();
    for (name, shard) in &index.tensors {
        if places.get(name.as_str()) != Some(shard) {
            let shard = &index.shards[*shard];
            return Err(Error::BadFile(format!("{INDEX} places tensor {name:?} in {shard}, which does not hold it")));
        }
    }
    Ok(file)
}

/// Reads JSON text of `length` bytes at `offset`, and promises the memory that parsing it takes besides its result.
/// Returns what has to be given back once the text is parsed and dropped.
async fn read_json(source: &dyn ByteSource, offset: u64, length: u64, memory: &mut Memory) -> Result<(Vec<u8>, u64)> {
    memory.take(length, source.name())?;
    let text = source.read(offset, length).await?;
    let parsing = parse_bytes(&text);
    memory.take(parsing, source.name())?;
    Ok((text, length + parsing))
}

async fn read_index(source: &dyn ByteSource, memory: &mut Memory) -> Result<Index> {
    if source.len() > HEADER_LIMIT {
        let length = source.len();
        return Err(Error::BadFile(format!("{INDEX} has {length} bytes; at most {HEADER_LIMIT} are expected")));
    }
    let (text, temporary) = read_json(source, 0, source.len(), memory).await?;
    let index = parse_index(&text, INDEX, memory)?;
    drop(text);
    memory.give(temporary);
    Ok(index)
}

/// Reads one file's header and adds its tensors.
async fn add(file: &mut TensorFile, source: Rc<dyn ByteSource>, memory: &mut Memory) -> Result<()> {
    let (name, total) = (source.name().to_string(), source.len());
    let bad = |what: String| Error::BadFile(format!("{name} {what}"));
    if total < 8 {
        return Err(bad(format!("has {total} bytes: this is not a safetensors file, or it is cut")));
    }
    let mut raw = [0; 8];
    raw.copy_from_slice(&source.read(0, 8).await?);
    let length = u64::from_le_bytes(raw);
    if length > HEADER_LIMIT || length > total - 8 {
        return Err(bad(format!(
            "announces a header of {length} bytes, but has {} bytes after its length (at most {HEADER_LIMIT} are \
             allowed): this is not a safetensors file, or it is cut",
            total - 8
        )));
    }
    let (header, temporary) = read_json(&*source, 8, length, memory).await?;
    let first = file.tensors.len();
    let index = file.sources.len();
    let start = 8 + length;
    parse_header(&header, &name, &mut |tensor: &str, entry: Entry| {
        if tensor.len() > MAX_NAME {
            let bytes = tensor.len();
            return Err(bad(format!("has a tensor name of {bytes} bytes; at most {MAX_NAME} are allowed")));
        }
        memory.take(TENSOR + tensor.len() as u64 + 8 * entry.shape.len() as u64, &name)?;
        let dtype = dtype(&entry.dtype).ok_or_else(|| {
            Error::UnsupportedFormat(format!(
                "{name}: tensor {tensor:?} has type {}; F32, F16 and BF16 are supported",
                entry.dtype
            ))
        })?;
        let [begin, end] = entry.data_offsets;
        let bytes = entry.shape.iter().try_fold(dtype.block_bytes(), |n, d| n.checked_mul(*d));
        if end < begin || bytes != Some(end - begin) || bytes == Some(0) {
            return Err(bad(format!(
                "places tensor {tensor:?} of shape {:?} and type {} at bytes {begin}..{end} of its data, which is not \
                 its size",
                entry.shape, entry.dtype
            )));
        }
        // The start of the data is added below, once the last end is known to lie within the file.
        file.tensors.push(TensorInfo {
            name: tensor.to_string(),
            dtype,
            shape: entry.shape,
            source: index,
            offset: begin,
            bytes: end - begin,
        });
        Ok(())
    })?;
    drop(header);
    memory.give(temporary);
    let tensors = &mut file.tensors[first..];
    tensors.sort_unstable_by_key(|t| (t.offset, t.bytes));
    let mut at = 0;
    for t in &mut *tensors {
        if t.offset != at {
            return Err(bad(format!(
                "places tensor {:?} at byte {} of its data, but the tensor before it ends at {at}: tensors overlap or \
                 leave a hole",
                t.name, t.offset
            )));
        }
        at += t.bytes;
    }
    if at != total - start {
        return Err(bad(format!(
            "has {} bytes of data, but its tensors take {at}: the file is cut or damaged; get it again",
            total - start
        )));
    }
    for t in &mut *tensors {
        t.offset += start;
    }
    gguf::check_names(tensors, &name)?;
    file.sources.push(source);
    Ok(())
}

fn dtype(name: &str) -> Option<DType> {
    match name {
        "F32" => Some(DType::F32),
        "F16" => Some(DType::F16),
        "BF16" => Some(DType::BF16),
        _ => None,
    }
}
