//! Bytes -> named tensors + metadata. Knows no model and no GPU.

pub mod gguf;
mod gguf_header;
mod gguf_vocab;
#[cfg(not(target_arch = "wasm32"))]
pub mod http;
#[cfg(not(target_arch = "wasm32"))]
pub mod local;
mod memory;
pub mod safetensors;
mod safetensors_json;
pub mod source;

use crate::error::Result;

/// Element or block type of a tensor as it lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, non_camel_case_types)]
pub enum DType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

impl DType {
    /// Elements per block (1 for plain floats). No block crosses a row.
    pub fn block_elems(self) -> u64 {
        match self {
            DType::F32 | DType::F16 | DType::BF16 => 1,
            DType::Q4_0 | DType::Q8_0 => 32,
            DType::Q4_K | DType::Q5_K | DType::Q6_K => 256,
        }
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> u64 {
        match self {
            DType::F32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::Q4_0 => 18,
            DType::Q8_0 => 34,
            DType::Q4_K => 144,
            DType::Q5_K => 176,
            DType::Q6_K => 210,
        }
    }

    /// The name used in messages and in `inspect`.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "F32",
            DType::F16 => "F16",
            DType::BF16 => "BF16",
            DType::Q4_0 => "Q4_0",
            DType::Q8_0 => "Q8_0",
            DType::Q4_K => "Q4_K",
            DType::Q5_K => "Q5_K",
            DType::Q6_K => "Q6_K",
        }
    }
}

/// One tensor of a model, wherever its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name as in the file.
    pub name: String,
    /// Type of its elements or blocks.
    pub dtype: DType,
    /// Row-major shape, slowest dimension first (`[out, in]` for a linear layer), in both formats.
    pub shape: Vec<u64>,
    /// Index into [`TensorFile::sources`].
    pub source: usize,
    /// Absolute byte offset in that source.
    pub offset: u64,
    /// Length in bytes: already checked against shape, dtype and the source's length.
    pub bytes: u64,
}

impl TensorInfo {
    /// Length of the contiguous dimension (in_features).
    pub fn cols(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }
    /// Product of all other dimensions.
    pub fn rows(&self) -> u64 {
        self.shape.iter().rev().skip(1).product()
    }
    /// Bytes of one row in the file.
    pub fn row_bytes(&self) -> u64 {
        self.cols() / self.dtype.block_elems() * self.dtype.block_bytes()
    }
}

/// Tensors of a model: one GGUF (all its splits) or all shards of a safetensors directory.
pub struct TensorFile {
    /// The open byte sources.
    pub sources: Vec<std::rc::Rc<dyn source::ByteSource>>,
    /// All tensors, in file order.
    pub tensors: Vec<TensorInfo>,
}

impl TensorFile {
    /// Finds a tensor by its name.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|t| t.name == name)
    }
    /// Reads `len` bytes at `start` within tensor `t`.
    pub async fn read(&self, t: &TensorInfo, start: u64, len: u64) -> Result<Vec<u8>> {
        self.sources[t.source].read(t.offset + start, len).await
    }
}
