//! Y = X W^T (+ bias) (+ Y): tiled GEMM with the dequantisation fused, for 9 tokens and more.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, Matrix, MatrixPart, Step};

/// What to do.
pub struct Args<'a> {
    /// Weights.
    pub matrix: &'a Matrix,
    /// The row range this dispatch computes.
    pub part: &'a MatrixPart,
    /// f32 [n_tokens, x_stride]; columns cols..round_up(cols, 32) are finite (their weights are zero).
    pub x: Bind,
    /// Row stride of x in elements, a multiple of 32.
    pub x_stride: u32,
    /// `StepState`: rows >= n_tokens are left alone.
    pub state: Bind,
    /// f32 [matrix.rows], or None.
    pub bias: Option<Bind>,
    /// Add to the old contents of `out` (residual).
    pub accumulate: bool,
    /// f32 [n_tokens, out_stride]; row r of the matrix goes to column out_column + r.
    pub out: Bind,
    /// Row stride of `out` in elements.
    pub out_stride: u32,
    /// First column of `out` (an unfused v or up writes beside the others).
    pub out_column: u32,
    /// Bucket: the largest n_tokens.
    pub n_tokens: u32,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args<'_>) -> Step {
    todo!()
}

/// The kernel.
pub struct MatMul;

impl Kernel for MatMul {
    fn stem(&self) -> &'static str {
        "matmul"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        todo!()
    }
    fn params_bytes(&self) -> usize {
        todo!()
    }
    fn reference(&self, _variant: &Variant, _params: &[u8], _io: &mut [Slot<'_>]) {
        todo!()
    }
    fn cases(&self, _caps: &super::Caps) -> Vec<Case> {
        todo!()
    }
}
