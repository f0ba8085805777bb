//! y = W x (+ bias) (+ y), for 1..=8 tokens with one read of W. Optional prologues: RMSNorm of x, or the merge of
//! split-KV attention partials. Serves o_proj, down_proj, logits, unfused projections and small batches.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, Matrix, MatrixPart, Step};

/// Where x comes from.
#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// f32 [n_tokens, stride] as it is.
    Plain {
        /// The rows.
        x: Bind,
        /// Row stride in elements.
        stride: u32,
    },
    /// RMSNorm(x) * weight, recomputed by every workgroup.
    Norm {
        /// The rows.
        x: Bind,
        /// Row stride in elements.
        stride: u32,
        /// f32 [cols]
        weight: Bind,
        /// rms_norm_eps
        eps: f32,
    },
    /// The merged output of `attention_decode` (n_tokens = 1): see that file for the partials' layout.
    Merge {
        /// f32 [n_splits, n_heads, head_dim] unnormalised outputs.
        partials: Bind,
        /// f32 [n_splits, n_heads, 2]: running max and sum of exponentials.
        stats: Bind,
        /// Splits allocated (`attention_decode::Args::n_splits`).
        n_splits: u32,
        /// Query heads.
        n_heads: u32,
        /// Dimensions of a head.
        head_dim: u32,
        /// Sliding window as given to `attention_decode`: the live splits follow from it and `state.position`.
        window: Option<u32>,
    },
}

/// What to do.
pub struct Args<'a> {
    /// Weights.
    pub matrix: &'a Matrix,
    /// The row range this dispatch computes (one dispatch per part).
    pub part: &'a MatrixPart,
    /// x
    pub input: Input,
    /// `StepState`
    pub state: Bind,
    /// f32 [matrix.rows], or None.
    pub bias: Option<Bind>,
    /// Add to the old contents of `out` (residual) instead of overwriting them.
    pub accumulate: bool,
    /// f32 [n_tokens, out_stride]; row r of the matrix goes to column out_column + r.
    pub out: Bind,
    /// Row stride of `out` in elements.
    pub out_stride: u32,
    /// First column of `out` (an unfused v or up writes beside the others).
    pub out_column: u32,
    /// Bucket: 1, 2, 4 or 8 tokens; rows >= state.n_tokens are left alone.
    pub n_tokens: u32,
    /// Take only row state.n_tokens - 1 of x and write row 0 of out (logits of the last position); `n_tokens` is 1.
    pub last_row: bool,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args<'_>) -> Step {
    todo!()
}

/// The kernel.
pub struct MatVec;

impl Kernel for MatVec {
    fn stem(&self) -> &'static str {
        "matvec"
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
