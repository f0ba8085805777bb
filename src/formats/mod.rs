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
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// Type, name, elements per block, bytes per block, id in a GGUF; in the order of [`DType`].
const TYPES: &[(DType, &str, u64, u64, u32)] = &[
    (DType::F32, "F32", 1, 4, 0),
    (DType::F16, "F16", 1, 2, 1),
    (DType::BF16, "BF16", 1, 2, 30),
    (DType::Q4_0, "Q4_0", 32, 18, 2),
    (DType::Q4_1, "Q4_1", 32, 20, 3),
    (DType::Q5_0, "Q5_0", 32, 22, 6),
    (DType::Q5_1, "Q5_1", 32, 24, 7),
    (DType::Q8_0, "Q8_0", 32, 34, 8),
    (DType::Q4_K, "Q4_K", 256, 144, 12),
    (DType::Q5_K, "Q5_K", 256, 176, 13),
    (DType::Q6_K, "Q6_K", 256, 210, 14),
];

impl DType {
    /// Every type.
    pub const ALL: &[DType] = &{
        let mut all = [DType::F32; TYPES.len()];
        let mut i = 0;
        while i < all.len() {
            all[i] = TYPES[i].0;
            assert!(all[i] as usize == i, "TYPES is in the order of DType");
            i += 1;
        }
        all
    };

    /// Elements per block (1 for plain floats). No block crosses a row.
    pub fn block_elems(self) -> u64 {
        TYPES[self as usize].2
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> u64 {
        TYPES[self as usize].3
    }

    /// The name used in messages and in `inspect`.
    pub fn name(self) -> &'static str {
        TYPES[self as usize].1
    }

    /// The type with this id in a GGUF, when it is supported.
    pub(crate) fn of_gguf(id: u32) -> Option<DType> {
        TYPES.iter().find(|t| t.4 == id).map(|t| t.0)
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

/// How a file stores a matrix, apart from what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stored {
    /// One tensor of rows of whole blocks, role [`Role::Weight`].
    Blocks(DType),
}

impl Stored {
    /// Bytes of a row of `cols` columns in each tensor, in the order of [`Weight::tensors`]; None when such a row is
    /// not whole blocks.
    pub fn row_bytes(self, cols: u64) -> Option<Vec<u64>> {
        match self {
            Stored::Blocks(dtype) if cols > 0 && cols.is_multiple_of(dtype.block_elems()) => {
                Some(vec![cols / dtype.block_elems() * dtype.block_bytes()])
            }
            Stored::Blocks(_) => None,
        }
    }

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Stored::Blocks(dtype) => dtype.name(),
        }
    }
}

/// What a tensor is for the weight that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The numbers, or their codes with all that decodes them.
    Weight,
}

/// A matrix or vector of a model and the tensors of the file that hold it. Each of these tensors has a row for every
/// row of the weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Name, as in the dialect of the file.
    pub name: String,
    /// Row-major shape of the numbers, slowest dimension first (`[out, in]` for a linear layer).
    pub shape: Vec<u64>,
    /// How they are stored.
    pub stored: Stored,
    /// Role and index into [`TensorFile::tensors`], in the order that `stored` asks for.
    pub tensors: Vec<(Role, usize)>,
}

impl Weight {
    /// Length of the contiguous dimension (in_features).
    pub fn cols(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }
}

/// A tensor that no weight can be: one of a type that nothing here computes with, or without elements. Files carry
/// such buffers (`inv_freq` in F64, masks of BOOL), and mostly nobody needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadTensor {
    /// Name as in the file.
    pub name: String,
    /// Name of its type, as in the file.
    pub dtype: String,
    /// Row-major shape.
    pub shape: Vec<u64>,
}

/// Tensors of a model: one GGUF (all its splits) or all shards of a safetensors directory.
#[derive(Default)]
pub struct TensorFile {
    /// The open byte sources.
    pub sources: Vec<std::rc::Rc<dyn source::ByteSource>>,
    /// All tensors that may be weights, in file order.
    pub tensors: Vec<TensorInfo>,
    /// The others; who needs one of them refuses the model.
    pub unread: Vec<UnreadTensor>,
}

impl TensorFile {
    /// The matrices and vectors that the tensors hold. In a GGUF and in plain safetensors every tensor is one.
    pub fn weights(&self) -> Vec<Weight> {
        // Some writers of GGUF fill every shape up to four dimensions.
        let ones = |shape: &[u64]| shape.iter().take_while(|n| **n == 1).count().min(shape.len().saturating_sub(1));
        let weight = |(i, t): (usize, &TensorInfo)| Weight {
            name: t.name.clone(),
            shape: t.shape[ones(&t.shape)..].to_vec(),
            stored: Stored::Blocks(t.dtype),
            tensors: vec![(Role::Weight, i)],
        };
        self.tensors.iter().enumerate().map(weight).collect()
    }
    /// Finds a tensor by its name.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|t| t.name == name)
    }
    /// Reads `len` bytes at `start` within tensor `t`.
    pub async fn read(&self, t: &TensorInfo, start: u64, len: u64) -> Result<Vec<u8>> {
        self.sources[t.source].read(t.offset + start, len).await
    }
}
