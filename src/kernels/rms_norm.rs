//! out[t] = x[t] * rsqrt(mean(x[t]^2) + eps) * weight, for t < state.n_tokens (prefill).

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, Step};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, stride]
    pub x: Bind,
    /// f32 [d_model]
    pub weight: Bind,
    /// f32 [n_tokens, stride]
    pub out: Bind,
    /// `StepState`
    pub state: Bind,
    /// Columns.
    pub d_model: u32,
    /// Row stride of x and out in elements.
    pub stride: u32,
    /// rms_norm_eps
    pub eps: f32,
    /// Bucket.
    pub n_tokens: u32,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args) -> Step {
    todo!()
}

/// The kernel.
pub struct RmsNorm;

impl Kernel for RmsNorm {
    fn stem(&self) -> &'static str {
        "rms_norm"
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
