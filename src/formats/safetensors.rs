//! safetensors: one `model.safetensors`, or the shards that `model.safetensors.index.json` lists.

use super::memory::{ALLOCATION, MAX_NAME, Memory, check_table, growing};
use super::safetensors_json::{Entry, parse_bytes, parse_header, parse_index};
use super::source::{ByteSource, Files, is_plain_name};
use super::{DType, TensorFile, TensorInfo, UnreadTensor, gguf};
use crate::error::{Error, Result};
use std::rc::Rc;

/// Name of an unsharded model.
const SINGLE: &str = "model.safetensors";
/// Name of the list of shards.
const INDEX: &str = "model.safetensors.index.json";
/// Longest header, and longest index, that is accepted (the format's own limit).
const HEADER_LIMIT: u64 = 100_000_000;
/// What a tensor takes beside its name and shape: its row of the table, and of the tables that check names and places.
const TENSOR: u64 = growing::<TensorInfo>() + growing::<Range>() + 4 * ALLOCATION + 100;

/// Where a tensor's bytes begin and end in the data, and its index in `TensorFile::tensors` or, else, in `unread`.
type Range = (u64, u64, Result<usize, usize>);

/// Reads the headers of all shards; no tensor data. Tensors of types that are not supported are
/// [`TensorFile::unread`]. Errors: `bad-file` for files that break the format or whose headers would take too much
/// memory, `download-failed` for missing files.
pub async fn read(files: &dyn Files) -> Result<TensorFile> {
    let mut memory = Memory::default();
    let mut file = TensorFile::default();
    if let Some(source) = files.open(SINGLE).await? {
        add(&mut file, source, &mut memory).await?;
        check_table(&mut file, SINGLE)?;
        gguf::check_names(&file, SINGLE)?;
        return Ok(file);
    }
    let Some(source) = files.open(INDEX).await? else {
        return Err(Error::DownloadFailed(format!(
            "there is neither {SINGLE} nor {INDEX}; a model of .bin or .pt files (pickles) has to be converted to \
             safetensors or GGUF first"
        )));
    };
    let shards = read_index(&*source, &mut memory).await?;
    if let Some(shard) = shards.iter().find(|shard| !is_plain_name(shard)) {
        return Err(Error::BadFile(format!(
            "{INDEX} names the shard {shard:?}; a shard has to be a plain file name in the same folder"
        )));
    }
    // The index says which files there are; what they hold, they say themselves: indexes go stale.
    for shard in &shards {
        let source = files.need(shard, "but model.safetensors.index.json lists it; get it, too").await?;
        add(&mut file, source, &mut memory).await?;
    }
    check_table(&mut file, INDEX)?;
    gguf::check_names(&file, INDEX)?;
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

/// Names of the shards, sorted.
async fn read_index(source: &dyn ByteSource, memory: &mut Memory) -> Result<Vec<String>> {
    if source.len() > HEADER_LIMIT {
        let length = source.len();
        return Err(Error::BadFile(format!("{INDEX} has {length} bytes; at most {HEADER_LIMIT} are expected")));
    }
    let (text, temporary) = read_json(source, 0, source.len(), memory).await?;
    let shards = parse_index(&text, INDEX, memory)?;
    drop(text);
    memory.give(temporary);
    Ok(shards)
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
    let mut ranges: Vec<Range> = Vec::new();
    parse_header(&header, &name, &mut |tensor: &str, entry: Entry| {
        if tensor.len() > MAX_NAME {
            let bytes = tensor.len();
            return Err(bad(format!("has a tensor name of {bytes} bytes; at most {MAX_NAME} are allowed")));
        }
        memory.take(TENSOR + (tensor.len() + entry.dtype.len() + 8 * entry.shape.len()) as u64, &name)?;
        let Entry { dtype, shape, data_offsets: [begin, end] } = entry;
        let size = end.checked_sub(begin).and_then(|bytes| bytes.checked_mul(8));
        let bits = |one| shape.iter().try_fold(one, |n: u64, d| n.checked_mul(*d));
        if size.is_none() || bits_of(&dtype).is_some_and(|one| bits(one) != size) {
            return Err(bad(format!(
                "places tensor {tensor:?} of shape {shape:?} and type {dtype} at bytes {begin}..{end} of its data, \
                 which is not its size"
            )));
        }
        let name = tensor.to_string();
        match supported(&dtype).filter(|_| begin < end) {
            // The start of the data is added below, once the last end is known to lie within the file.
            Some(dtype) => {
                ranges.push((begin, end, Ok(file.tensors.len())));
                file.tensors.push(TensorInfo { name, dtype, shape, source: index, offset: begin, bytes: end - begin });
            }
            None => {
                ranges.push((begin, end, Err(file.unread.len())));
                file.unread.push(UnreadTensor { name, dtype, shape });
            }
        }
        Ok(())
    })?;
    drop(header);
    memory.give(temporary);
    ranges.sort_unstable();
    let mut at = 0;
    for (begin, end, tensor) in ranges {
        if begin != at {
            let tensor = tensor.map_or_else(|i| &file.unread[i].name, |i| &file.tensors[i].name);
            return Err(bad(format!(
                "places tensor {tensor:?} at byte {begin} of its data, but the tensor before it ends at {at}: tensors \
                 overlap or leave a hole"
            )));
        }
        at = end;
    }
    if at != total - start {
        return Err(bad(format!(
            "has {} bytes of data, but its tensors take {at}: the file is cut or damaged; get it again",
            total - start
        )));
    }
    let tensors = &mut file.tensors[first..];
    tensors.sort_unstable_by_key(|t| t.offset);
    tensors.iter_mut().for_each(|t| t.offset += start);
    file.sources.push(source);
    Ok(())
}

/// The types that weights have here.
fn supported(name: &str) -> Option<DType> {
    match name {
        "F32" => Some(DType::F32),
        "F16" => Some(DType::F16),
        "BF16" => Some(DType::BF16),
        _ => None,
    }
}

/// Bits of an element of a type of the format; None for types that came later.
fn bits_of(dtype: &str) -> Option<u64> {
    match dtype {
        "F64" | "I64" | "U64" | "C64" => Some(64),
        "F32" | "I32" | "U32" => Some(32),
        "F16" | "BF16" | "I16" | "U16" => Some(16),
        "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => Some(8),
        "F6_E2M3" | "F6_E3M2" => Some(6),
        "F4" => Some(4),
        _ => None,
    }
}
