//! Second half of sampling, one workgroup: joins the chunks, finds the exact top-k / top-p / min-p threshold by a
//! radix select over the logits, draws by the Gumbel-max rule with a counter-based generator (so that the result does
//! not depend on the order of reduction), writes the id and advances the step state.
//!
//! Order as in transformers: penalty (done), temperature, top-k, top-p, min-p, each renormalised. Greedy: highest
//! logit, lowest id on ties.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, Step};

/// What to do. Afterwards: ids[0] = ring[draws % ring_len] = token, seen[token] = 1, state.position += state.n_tokens,
/// state.n_tokens = 1, state.draws += 1.
pub struct Args {
    /// f32 [vocab_size], penalised.
    pub logits: Bind,
    /// Columns.
    pub vocab_size: u32,
    /// From `sample_reduce`.
    pub chunks: Bind,
    /// `Sampling`
    pub sampling: Bind,
    /// `StepState`
    pub state: Bind,
    /// u32 [..]: the next step's input; word 0 is written.
    pub ids: Bind,
    /// u32 [vocab_size]
    pub seen: Bind,
    /// u32 [ring_len]: drawn ids in order.
    pub ring: Bind,
    /// Words of `ring`.
    pub ring_len: u32,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args) -> Step {
    todo!()
}

/// The kernel.
pub struct Sample;

impl Kernel for Sample {
    fn stem(&self) -> &'static str {
        "sample"
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
