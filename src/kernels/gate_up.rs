//! NOTE TO THE WRITER OF THE MAT-VEC KERNELS: the lead has taken gate_up as well. Finish the hand-over of matvec + embed (merge
//! to main at once), then report; do not write gate_up, qkv or matmul.
//! One decode token: out = activation(W_gate n + b_gate) * (W_up n + b_up), n = RMSNorm(x) * weight.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Activation, Bind, Caps, Matrix, Step};

/// What to do. The matrix stacks [gate; up]: 2*d_ff rows, one part.
pub struct Args<'a> {
    /// Weights [2*d_ff, d_model].
    pub matrix: &'a Matrix,
    /// f32 [1, d_model]
    pub x: Bind,
    /// f32 [d_model]
    pub norm_weight: Bind,
    /// rms_norm_eps
    pub eps: f32,
    /// f32 [2*d_ff], or None.
    pub bias: Option<Bind>,
    /// Of the gate.
    pub activation: Activation,
    /// f32 [d_ff]
    pub out: Bind,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args<'_>) -> Step {
    todo!()
}

/// The kernel.
pub struct GateUp;

impl Kernel for GateUp {
    fn stem(&self) -> &'static str {
        "gate_up"
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
