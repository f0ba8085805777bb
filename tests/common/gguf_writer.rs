//! Builds GGUF files in memory from metadata and tensors (format: weights.md A1.1). A test includes it with
//! `#[path = "common/gguf_writer.rs"] mod gguf_writer;`.
#![allow(dead_code)]

use lacewing::formats::DType;
use lacewing::formats::gguf::Value;

/// One tensor to write.
pub struct Tensor {
    pub name: String,
    /// ggml type id (see [`type_id`]).
    pub kind: u32,
    /// Row-major, slowest dimension first, as in `TensorInfo`.
    pub shape: Vec<u64>,
    pub data: Vec<u8>,
}

impl Tensor {
    pub fn new(name: &str, dtype: DType, shape: &[u64], data: Vec<u8>) -> Tensor {
        Tensor { name: name.into(), kind: type_id(dtype), shape: shape.into(), data }
    }

    pub fn f32(name: &str, shape: &[u64], values: &[f32]) -> Tensor {
        Tensor::new(name, DType::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
}

/// The ggml id of a type.
pub fn type_id(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => 0,
        DType::F16 => 1,
        DType::Q4_0 => 2,
        DType::Q4_1 => 3,
        DType::Q5_0 => 6,
        DType::Q5_1 => 7,
        DType::Q8_0 => 8,
        DType::Q4_K => 12,
        DType::Q5_K => 13,
        DType::Q6_K => 14,
        DType::BF16 => 30,
    }
}

/// A file and where its sections begin, for tests that cut or break it.
pub struct Written {
    pub bytes: Vec<u8>,
    /// Offset of every field of the header, in order: magic, version, counts, then each part of each entry.
    pub fields: Vec<usize>,
    /// First byte of the data section.
    pub data_start: usize,
}

/// A GGUF v3 file; the tensor data is aligned to `general.alignment` or 32.
pub fn write(metadata: &[(&str, Value)], tensors: &[Tensor]) -> Vec<u8> {
    write_with(3, metadata, tensors, None).bytes
}

/// The same with a version, with tensor offsets of the caller's choice, and with the places of all fields.
pub fn write_with(version: u32, metadata: &[(&str, Value)], tensors: &[Tensor], offsets: Option<&[u64]>) -> Written {
    let align = match metadata.iter().find(|(k, _)| *k == "general.alignment") {
        Some((_, Value::Int(a))) if (1..1 << 16).contains(a) => *a as usize,
        _ => 32,
    };
    let mut out = Written { bytes: Vec::new(), fields: Vec::new(), data_start: 0 };
    out.put(b"GGUF");
    out.put(&version.to_le_bytes());
    out.put(&(tensors.len() as u64).to_le_bytes());
    out.put(&(metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        out.string(key);
        out.value(value);
    }
    let mut offset = 0;
    for (i, t) in tensors.iter().enumerate() {
        out.string(&t.name);
        out.put(&(t.shape.len() as u32).to_le_bytes());
        for d in t.shape.iter().rev() {
            out.put(&d.to_le_bytes());
        }
        out.put(&t.kind.to_le_bytes());
        out.put(&offsets.map_or(offset as u64, |o| o[i]).to_le_bytes());
        offset = (offset + t.data.len()).next_multiple_of(align);
    }
    out.data_start = out.bytes.len().next_multiple_of(align);
    for t in tensors {
        let start = out.bytes.len().next_multiple_of(align);
        out.bytes.resize(start, 0);
        out.bytes.extend_from_slice(&t.data);
    }
    out
}

impl Written {
    fn put(&mut self, bytes: &[u8]) {
        self.fields.push(self.bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    fn string(&mut self, s: &str) {
        self.put(&(s.len() as u64).to_le_bytes());
        self.put(s.as_bytes());
    }

    fn kind(&mut self, kind: u32) {
        self.put(&kind.to_le_bytes());
    }

    fn array<T>(&mut self, kind: u32, items: &[T], put: impl Fn(&mut Written, &T)) {
        self.kind(9);
        self.kind(kind);
        self.put(&(items.len() as u64).to_le_bytes());
        items.iter().for_each(|i| put(self, i));
    }

    /// Integers as U32, I32, U64 or I64, whichever holds them first; integer arrays as I32 or I64.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Int(i) => {
                let i = *i;
                if let Ok(v) = u32::try_from(i) {
                    self.kind(4);
                    self.put(&v.to_le_bytes());
                } else if let Ok(v) = i32::try_from(i) {
                    self.kind(5);
                    self.put(&v.to_le_bytes());
                } else if let Ok(v) = u64::try_from(i) {
                    self.kind(10);
                    self.put(&v.to_le_bytes());
                } else {
                    self.kind(11);
                    self.put(&(i as i64).to_le_bytes());
                }
            }
            Value::Float(f) if f64::from(*f as f32) == *f => {
                self.kind(6);
                self.put(&(*f as f32).to_le_bytes());
            }
            Value::Float(f) => {
                self.kind(12);
                self.put(&f.to_le_bytes());
            }
            Value::Bool(b) => {
                self.kind(7);
                self.put(&[u8::from(*b)]);
            }
            Value::String(s) => {
                self.kind(8);
                self.string(s);
            }
            Value::Ints(v) if v.iter().all(|i| i32::try_from(*i).is_ok()) => {
                self.array(5, v, |o, i| o.put(&(*i as i32).to_le_bytes()));
            }
            Value::Ints(v) => self.array(11, v, |o, i| o.put(&i.to_le_bytes())),
            Value::Floats(v) => self.array(6, v, |o, f| o.put(&f.to_le_bytes())),
            Value::Bools(v) => self.array(7, v, |o, b| o.put(&[u8::from(*b)])),
            Value::Strings(v) => self.array(8, v, |o, s| o.string(s)),
            Value::Skipped(what) => panic!("{what} cannot be written"),
        }
    }
}
