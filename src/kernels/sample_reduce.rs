//! First half of sampling: applies the repetition penalty to the logits in place and reduces chunks of them to
//! (max, its lowest index, sum of exp((l - max) / temperature)).

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, Step};

/// How tokens are drawn: a storage buffer of 8 words, written once per reply.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Sampling {
    /// 0 = greedy.
    pub temperature: f32,
    /// Keep the k most likely; 0 = all.
    pub top_k: u32,
    /// Keep the most likely until their probabilities reach p; 1 = all.
    pub top_p: f32,
    /// Keep those with at least min_p times the largest probability; 0 = all.
    pub min_p: f32,
    /// Seen ids: l > 0 ? l / penalty : l * penalty; 1 = off (as in transformers).
    pub repetition_penalty: f32,
    /// Seed of the counter-based generator.
    pub seed: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// Logits per workgroup.
pub const CHUNK: u32 = 2048;

/// What to do.
pub struct Args {
    /// f32 [vocab_size], penalised in place.
    pub logits: Bind,
    /// Columns.
    pub vocab_size: u32,
    /// u32 [vocab_size]: non-zero = seen.
    pub seen: Bind,
    /// `Sampling`
    pub sampling: Bind,
    /// [ceil(vocab_size / CHUNK), 4] words: max f32, index u32, sum f32, 0
    pub chunks: Bind,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args) -> Step {
    todo!()
}

/// The kernel.
pub struct SampleReduce;

impl Kernel for SampleReduce {
    fn stem(&self) -> &'static str {
        "sample_reduce"
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
