//! out[t] = table[ids[t]] * scale for the t < state.n_tokens whose id lies in this part of the table.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, Matrix, MatrixPart, Step};

/// What to do.
pub struct Args<'a> {
    /// Embedding table.
    pub table: &'a Matrix,
    /// The part of it this dispatch serves (one dispatch per part; rows of other parts are left alone).
    pub part: &'a MatrixPart,
    /// u32 [n_tokens]
    pub ids: Bind,
    /// `StepState`
    pub state: Bind,
    /// u32 [vocab_size]: `seen[id] = 1` is stored for every id, for the repetition penalty.
    pub seen: Bind,
    /// f32 [n_tokens, out_stride]
    pub out: Bind,
    /// Row stride of `out` in elements, a multiple of 32 and >= cols.
    pub out_stride: u32,
    /// Multiplies every row.
    pub scale: f32,
    /// Bucket: the largest n_tokens.
    pub n_tokens: u32,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args<'_>) -> Step {
    todo!()
}

/// The kernel.
pub struct Embed;

impl Kernel for Embed {
    fn stem(&self) -> &'static str {
        "embed"
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
