//! The header of one GGUF file: metadata and tensor table, parsed from a stream of growing reads.

use super::DType;
use super::gguf::{Metadata, Value};
use super::memory::{ALLOCATION, MAX_NAME, Memory, growing};
use super::source::ByteSource;
use crate::error::{Error, Result};
use std::collections::HashSet;

/// Bytes of the first read; the next ones double up to `MAX_STEP`. Real headers have 10 KiB to 20 MiB (vocabularies).
const FIRST_STEP: u64 = 1 << 20;
const MAX_STEP: u64 = 4 << 20;
/// Longest header that is accepted.
const HEADER_LIMIT: u64 = 128 << 20;
/// Longest key (a rule of the format).
const MAX_KEY: usize = 65535;
/// Arrays within arrays that are skipped, at most.
const MAX_DEPTH: usize = 8;
/// Longest piece that is taken from the window at once.
const MAX_PIECE: u64 = 1 << 20;
/// What a metadata entry takes beside its texts: its row of the list, and of the set that finds repeated keys.
const ENTRY: u64 = growing::<(String, Value)>() + 4 * size_of::<String>() as u64 + 4 * ALLOCATION;
/// What a tensor takes beside its name: its row here and in `TensorFile`, and of the tables that check names and ranges.
const TENSOR: u64 = growing::<RawTensor>() + growing::<super::TensorInfo>() + 64 + 100;

/// What the header of one file says. Shapes are row-major; offsets count from the start of the data.
pub(super) struct Header {
    pub metadata: Metadata,
    pub tensors: Vec<RawTensor>,
    /// First byte after the tensor table.
    pub end: u64,
    /// Bytes that the metadata was promised.
    pub metadata_bytes: u64,
}

/// One row of the tensor table, its shape reversed (the file has the contiguous dimension first).
pub(super) struct RawTensor {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<u64>,
    pub offset: u64,
}

/// Reads a header. No count or length in it is believed before it is compared with the bytes that are left.
pub(super) async fn read(source: &dyn ByteSource, memory: &mut Memory) -> Result<Header> {
    let before = memory.used();
    let mut r = Reader { source, buffer: Vec::new(), used: 0, position: 0, step: FIRST_STEP, memory };
    let magic = r.take(4, "its magic").await?;
    if magic != b"GGUF" {
        let found = magic.escape_ascii().to_string();
        return Err(r.bad(&format!("starts with {found:?} instead of \"GGUF\": this is not a GGUF file")));
    }
    check_version(r.u32("its version").await?, source.name())?;
    let n_tensors = r.u64("the number of tensors").await?;
    let n_kv = r.u64("the number of metadata entries").await?;
    // The shortest entries: an empty key with a one-byte value; a tensor without a name and dimensions.
    r.check_count(n_kv, 8 + 4 + 1, "metadata entries")?;
    r.check_count(n_tensors, 8 + 4 + 4 + 8, "tensors")?;
    let mut metadata = Metadata::default();
    let mut keys = HashSet::new();
    for _ in 0..n_kv {
        let key = r.name("a metadata key", MAX_KEY).await?;
        r.promise(2 * key.len() as u64 + ENTRY)?;
        let value = match r.value(&key).await? {
            Value::String(text) => Value::String(without_nul(text)),
            other => other,
        };
        // Different keys that are no text may look alike; nothing reads them.
        if !keys.insert(key.clone()) && !key.contains(char::REPLACEMENT_CHARACTER) {
            return Err(r.bad(&format!("has the metadata key {key:?} twice")));
        }
        metadata.entries.push((key, value));
    }
    drop(keys);
    let metadata_bytes = r.memory.used() - before;
    let mut tensors = Vec::new();
    for _ in 0..n_tensors {
        tensors.push(r.tensor().await?);
    }
    Ok(Header { metadata, tensors, end: r.position, metadata_bytes })
}

fn check_version(version: u32, name: &str) -> Result<()> {
    match version {
        2 | 3 => Ok(()),
        1 => Err(Error::UnsupportedFormat(format!(
            "{name} is GGUF version 1; versions 2 and 3 are supported: convert the model again with a current tool"
        ))),
        v if v != 0 && v & 0xFFFF == 0 => Err(Error::UnsupportedFormat(format!(
            "{name} is a big-endian GGUF; only little-endian files are supported"
        ))),
        v => Err(Error::UnsupportedFormat(format!("{name} is GGUF version {v}; versions 2 and 3 are supported"))),
    }
}

/// The text as C reads it: some converters (of 2023) count the NUL at its end. Not for tokens: one of them may be NUL.
fn without_nul(mut text: String) -> String {
    text.truncate(text.trim_end_matches('\0').len());
    text
}

/// What other tensor types are called.
fn unsupported_type(id: u32) -> &'static str {
    match id {
        4 => "Q4_2 (removed from the format)",
        5 => "Q4_3 (removed from the format)",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        31 => "Q4_0_4_4 (removed from the format)",
        32 => "Q4_0_4_8 (removed from the format)",
        33 => "Q4_0_8_8 (removed from the format)",
        34 => "TQ1_0",
        35 => "TQ2_0",
        36 => "IQ4_NL_4_4 (removed from the format)",
        37 => "IQ4_NL_4_8 (removed from the format)",
        38 => "IQ4_NL_8_8 (removed from the format)",
        39 => "MXFP4",
        40 => "NVFP4",
        41 => "Q1_0",
        42 => "Q2_0",
        _ => "unknown to this version",
    }
}

/// Value types of the format.
mod kind {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

/// Bytes of a number or bool; None for other types.
fn width(kind: u32) -> Option<u64> {
    match kind {
        kind::U8 | kind::I8 | kind::BOOL => Some(1),
        kind::U16 | kind::I16 => Some(2),
        kind::U32 | kind::I32 | kind::F32 => Some(4),
        kind::U64 | kind::I64 | kind::F64 => Some(8),
        _ => None,
    }
}

/// The number or bool of type `kind` in `bytes` (`width(kind)` of them).
fn scalar(kind: u32, bytes: &[u8]) -> Value {
    let mut b = [0; 8];
    b[..bytes.len()].copy_from_slice(bytes);
    let raw = u64::from_le_bytes(b);
    match kind {
        kind::I8 => Value::Int(i128::from(raw as i8)),
        kind::I16 => Value::Int(i128::from(raw as i16)),
        kind::I32 => Value::Int(i128::from(raw as i32)),
        kind::I64 => Value::Int(i128::from(raw as i64)),
        kind::F32 => Value::Float(f64::from(f32::from_bits(raw as u32))),
        kind::F64 => Value::Float(f64::from_bits(raw)),
        kind::BOOL => Value::Bool(raw != 0),
        _ => Value::Int(i128::from(raw)),
    }
}

/// A window on the file that moves forward.
struct Reader<'a> {
    source: &'a dyn ByteSource,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are consumed.
    used: usize,
    /// Offset in the file of the next byte.
    position: u64,
    step: u64,
    memory: &'a mut Memory,
}

impl Reader<'_> {
    fn bad(&self, what: &str) -> Error {
        Error::BadFile(format!("{} {what}", self.source.name()))
    }

    fn remaining(&self) -> u64 {
        self.source.len().saturating_sub(self.position)
    }

    /// Whether the file has `n` more bytes of header. `what` is for the message when it ends before.
    fn check_take(&self, n: u64, what: &str) -> Result<()> {
        if n > self.remaining() {
            return Err(self.bad(&format!(
                "ends at byte {}, but {what} needs {n} bytes at byte {}: the file is cut or damaged; get it again",
                self.source.len(),
                self.position
            )));
        }
        if self.position + n > HEADER_LIMIT {
            return Err(
                self.bad(&format!("has a header of more than {} MiB, which no model needs", HEADER_LIMIT >> 20))
            );
        }
        Ok(())
    }

    /// The next `n` bytes, at most `MAX_PIECE`.
    async fn take(&mut self, n: u64, what: &str) -> Result<&[u8]> {
        self.check_take(n, what)?;
        let held = self.buffer.len() - self.used;
        if held < n as usize {
            let rest = self.buffer[self.used..].to_vec();
            // Freed before the next window is read.
            self.buffer = Vec::new();
            self.used = 0;
            let ahead = (n - held as u64).max(self.step).min(self.remaining() - held as u64);
            let more = self.source.read(self.position + held as u64, ahead).await?;
            self.buffer = if rest.is_empty() { more } else { [rest, more].concat() };
            self.step = (2 * self.step).min(MAX_STEP);
        }
        self.position += n;
        self.used += n as usize;
        Ok(&self.buffer[self.used - n as usize..self.used])
    }

    async fn u32(&mut self, what: &str) -> Result<u32> {
        let b = self.take(4, what).await?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    async fn u64(&mut self, what: &str) -> Result<u64> {
        let mut raw = [0; 8];
        raw.copy_from_slice(self.take(8, what).await?);
        Ok(u64::from_le_bytes(raw))
    }

    /// Promises memory before it is allocated.
    fn promise(&mut self, bytes: u64) -> Result<()> {
        self.memory.take(bytes, self.source.name())
    }

    /// A key or a tensor's name, without NULs at its end; longer ones than `most` bytes are refused.
    async fn name(&mut self, what: &str, most: usize) -> Result<String> {
        let len = self.u64(what).await?;
        self.check_count(len, 1, "bytes of a name")?;
        if len > most as u64 {
            return Err(self.bad(&format!("is damaged: {what} has {len} bytes; at most {most} are allowed")));
        }
        Ok(without_nul(self.text(len, what).await?))
    }

    /// A text of `len` bytes; its memory is promised already. Bytes that are not UTF-8 become U+FFFD: names of authors
    /// are cut or in other encodings, and what is read does not fit any word that is expected.
    async fn text(&mut self, len: u64, what: &str) -> Result<String> {
        self.check_take(len, what)?;
        let mut bytes = Vec::with_capacity(len as usize);
        while (bytes.len() as u64) < len {
            let piece = (len - bytes.len() as u64).min(MAX_PIECE);
            bytes.extend_from_slice(self.take(piece, what).await?);
        }
        String::from_utf8(bytes).or_else(|e| {
            let broken = char::REPLACEMENT_CHARACTER;
            let chunks = || e.as_bytes().utf8_chunks().map(|c| (c.valid(), !c.invalid().is_empty()));
            let n = chunks().map(|(valid, ends)| valid.len() + if ends { broken.len_utf8() } else { 0 }).sum();
            self.promise(n as u64)?;
            let mut text = String::with_capacity(n);
            for (valid, ends) in chunks() {
                text.push_str(valid);
                text.extend(ends.then_some(broken));
            }
            Ok(text)
        })
    }

    async fn string(&mut self, what: &str) -> Result<String> {
        let len = self.u64(what).await?;
        self.check_take(len, what)?;
        self.promise(len + ALLOCATION)?;
        self.text(len, what).await
    }

    /// Whether `n` entries of at least `min` bytes can follow.
    fn check_count(&self, n: u64, min: u64, what: &str) -> Result<()> {
        if n > self.remaining() / min {
            let left = self.remaining();
            return Err(self.bad(&format!("announces {n} {what}, which do not fit the {left} bytes that are left")));
        }
        Ok(())
    }

    async fn value(&mut self, key: &str) -> Result<Value> {
        let kind = self.u32(key).await?;
        match (kind, width(kind)) {
            (_, Some(n)) => Ok(scalar(kind, self.take(n, key).await?)),
            (kind::STRING, _) => Ok(Value::String(self.string(key).await?)),
            (kind::ARRAY, _) => self.array(key).await,
            _ => Err(self.bad(&format!("is damaged: {key:?} has the value type {kind}; 0 to 12 exist"))),
        }
    }

    async fn array(&mut self, key: &str) -> Result<Value> {
        let kind = self.u32(key).await?;
        let n = self.u64(key).await?;
        let elements = format!("elements of {key:?}");
        if kind == kind::STRING {
            self.check_count(n, 8, &elements)?;
            self.promise(n.saturating_mul(size_of::<String>() as u64))?;
            let mut out = Vec::with_capacity(n as usize);
            for _ in 0..n {
                out.push(self.string(key).await?);
            }
            return Ok(Value::Strings(out));
        }
        if kind == kind::ARRAY {
            self.skip_arrays(n, key).await?;
            return Ok(Value::Skipped("a list of lists"));
        }
        let Some(size) = width(kind) else {
            return Err(self.bad(&format!("is damaged: {key:?} has the element type {kind}; 0 to 12 exist")));
        };
        self.check_count(n, size, &elements)?;
        self.promise(n.saturating_mul(8))?;
        let mut out = match kind {
            kind::F32 | kind::F64 => Value::Floats(Vec::with_capacity(n as usize)),
            kind::BOOL => Value::Bools(Vec::with_capacity(n as usize)),
            _ => Value::Ints(Vec::with_capacity(n as usize)),
        };
        let mut left = n;
        let mut fits = true;
        while left > 0 {
            let some = left.min(1 << 16);
            left -= some;
            for b in self.take(some * size, key).await?.chunks_exact(size as usize) {
                match (&mut out, scalar(kind, b)) {
                    (Value::Ints(out), Value::Int(i)) => match i64::try_from(i) {
                        Ok(i) => out.push(i),
                        Err(_) => fits = false,
                    },
                    (Value::Floats(out), Value::Float(f)) => out.push(f as f32),
                    (Value::Bools(out), Value::Bool(b)) => out.push(b),
                    _ => {}
                }
            }
        }
        Ok(if fits { out } else { Value::Skipped("a list with numbers beyond 2^63") })
    }

    /// Passes `n` arrays, which may hold arrays.
    async fn skip_arrays(&mut self, n: u64, key: &str) -> Result<()> {
        let mut open = vec![n];
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let kind = self.u32(key).await?;
            let n = self.u64(key).await?;
            let elements = format!("elements of {key:?}");
            match (kind, width(kind)) {
                (_, Some(size)) => {
                    self.check_count(n, size, &elements)?;
                    self.skip(n * size, key).await?;
                }
                (kind::STRING, _) => {
                    self.check_count(n, 8, &elements)?;
                    for _ in 0..n {
                        let len = self.u64(key).await?;
                        self.skip(len, key).await?;
                    }
                }
                (kind::ARRAY, _) if open.len() < MAX_DEPTH => open.push(n),
                _ => return Err(self.bad(&format!("is damaged: {key:?} has lists of type {kind} in its lists"))),
            }
        }
        Ok(())
    }

    async fn skip(&mut self, n: u64, what: &str) -> Result<()> {
        self.check_take(n, what)?;
        let mut left = n;
        while left > 0 {
            let some = left.min(MAX_PIECE);
            self.take(some, what).await?;
            left -= some;
        }
        Ok(())
    }

    async fn tensor(&mut self) -> Result<RawTensor> {
        let name = self.name("a tensor's name", MAX_NAME).await?;
        self.promise(name.len() as u64 + TENSOR)?;
        let n_dims = self.u32(&name).await?;
        if n_dims > 4 {
            return Err(
                self.bad(&format!("is damaged: tensor {name:?} has {n_dims} dimensions; at most 4 are allowed"))
            );
        }
        let mut shape = Vec::with_capacity(n_dims as usize);
        for _ in 0..n_dims {
            shape.insert(0, self.u64(&name).await?);
        }
        if shape.contains(&0) {
            return Err(self.bad(&format!("is damaged: tensor {name:?} of shape {shape:?} has no elements")));
        }
        let id = self.u32(&name).await?;
        let offset = self.u64(&name).await?;
        let dtype = DType::of_gguf(id).ok_or_else(|| {
            Error::UnsupportedFormat(format!(
                "{}: tensor {name:?} has type {} (id {id}); supported are {}: take a Q4_K_M or Q8_0 file of this model",
                self.source.name(),
                unsupported_type(id),
                DType::ALL.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ")
            ))
        })?;
        Ok(RawTensor { name, dtype, shape, offset })
    }
}
