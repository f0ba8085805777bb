//! safetensors: one `model.safetensors`, or the shards that `model.safetensors.index.json` lists.

use super::source::{ByteSource, Files, is_plain_name, read_whole};
use super::{DType, TensorFile, TensorInfo, gguf};
use crate::error::{Error, Result};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// Name of an unsharded model.
const SINGLE: &str = "model.safetensors";
/// Name of the list of shards.
const INDEX: &str = "model.safetensors.index.json";
/// Longest header, and longest index, that is accepted (the format's own limit).
const HEADER_LIMIT: u64 = 100_000_000;

/// Reads the headers of all shards; no tensor data. Errors: `bad-file` for files that break the format,
/// `unsupported-format` for tensor types other than F32, F16 and BF16, `download-failed` for missing files.
pub async fn read(files: &dyn Files) -> Result<TensorFile> {
    let mut file = TensorFile { sources: Vec::new(), tensors: Vec::new() };
    if let Some(source) = files.open(SINGLE).await? {
        add(&mut file, source).await?;
        return Ok(file);
    }
    let Some(index) = read_whole(files, INDEX, HEADER_LIMIT).await? else {
        return Err(Error::DownloadFailed(format!(
            "there is neither {SINGLE} nor {INDEX}; a model of .bin or .pt files (pickles) has to be converted to \
             safetensors or GGUF first"
        )));
    };
    let index: Index = serde_json::from_slice(&index)
        .map_err(|e| Error::BadFile(format!("{INDEX} is not an index of shards with a weight_map: {e}")))?;
    let mut shards: Vec<&String> = index.weight_map.values().collect();
    shards.sort_unstable();
    shards.dedup();
    for shard in &shards {
        if !is_plain_name(shard) {
            return Err(Error::BadFile(format!(
                "{INDEX} names the shard {shard:?}; a shard has to be a plain file name in the same folder"
            )));
        }
    }
    for shard in &shards {
        let source = files
            .open(shard)
            .await?
            .ok_or_else(|| Error::DownloadFailed(format!("{shard} is missing, but {INDEX} lists it")))?;
        add(&mut file, source).await?;
    }
    gguf::check_names(&file.tensors, INDEX)?;
    let places: HashMap<&str, &String> = file.tensors.iter().map(|t| (t.name.as_str(), shards[t.source])).collect();
    for (name, shard) in &index.weight_map {
        if places.get(name.as_str()) != Some(&shard) {
            return Err(Error::BadFile(format!("{INDEX} places tensor {name:?} in {shard}, which does not hold it")));
        }
    }
    Ok(file)
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// One entry of a header.
#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The entries in the order of the file; a map would hide a name that occurs twice.
struct Entries(Vec<(String, Entry)>);

impl<'de> serde::Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Entries;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

/// Reads one file's header and adds its tensors.
async fn add(file: &mut TensorFile, source: Rc<dyn ByteSource>) -> Result<()> {
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
    let header = source.read(8, length).await?;
    let Entries(mut entries) = serde_json::from_slice(&header)
        .map_err(|e| bad(format!("has a header that is not a table of tensors: {e}")))?;
    entries.sort_by_key(|(_, e)| e.data_offsets);
    let start = 8 + length;
    let mut at = 0;
    let first = file.tensors.len();
    for (tensor, e) in entries {
        let dtype = dtype(&e.dtype).ok_or_else(|| {
            Error::UnsupportedFormat(format!(
                "{name}: tensor {tensor:?} has type {}; F32, F16 and BF16 are supported",
                e.dtype
            ))
        })?;
        let [begin, end] = e.data_offsets;
        if begin != at || end < begin {
            return Err(bad(format!(
                "places tensor {tensor:?} at bytes {begin}..{end} of its data, but the tensor before it ends at {at}: \
                 tensors overlap or leave a hole"
            )));
        }
        let bytes = e.shape.iter().try_fold(dtype.block_bytes(), |n, d| n.checked_mul(*d));
        if bytes != Some(end - begin) || bytes == Some(0) {
            let found = end - begin;
            return Err(bad(format!(
                "gives tensor {tensor:?} of shape {:?} and type {} {found} bytes",
                e.shape, e.dtype
            )));
        }
        at = end;
        let source = file.sources.len();
        // The start of the data is added below, once the last end is known to lie within the file.
        file.tensors.push(TensorInfo {
            name: tensor,
            dtype,
            shape: e.shape,
            source,
            offset: begin,
            bytes: end - begin,
        });
    }
    if at != total - start {
        return Err(bad(format!(
            "has {} bytes of data, but its tensors take {at}: the file is cut or damaged; get it again",
            total - start
        )));
    }
    for t in &mut file.tensors[first..] {
        t.offset += start;
    }
    gguf::check_names(&file.tensors[first..], &name)?;
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
