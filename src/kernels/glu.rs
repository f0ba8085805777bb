//! Prefill: out[t, j] = activation(gate[t, j]) * up[t, j], for t < state.n_tokens.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Activation, Bind, Caps, Step};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, in_stride]: row = [gate; up], up starts at column d_ff.
    pub gate_up: Bind,
    /// Row stride of `gate_up` in elements.
    pub in_stride: u32,
    /// f32 [n_tokens, out_stride]
    pub out: Bind,
    /// Row stride of `out` in elements.
    pub out_stride: u32,
    /// `StepState`
    pub state: Bind,
    /// Neurons.
    pub d_ff: u32,
    /// Of the gate.
    pub activation: Activation,
    /// Bucket.
    pub n_tokens: u32,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args) -> Step {
    todo!()
}

/// The kernel.
pub struct Glu;

impl Kernel for Glu {
    fn stem(&self) -> &'static str {
        "glu"
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
