//! First half of sampling: applies the repetition penalty to the logits in place and reduces chunks of them to
//! (max, its lowest index, sum of exp((l - max) / temperature)).

use super::{Access, Bind, Caps, Kernel, Slot, Step, Variant};

/// How tokens are drawn: a storage buffer of 8 words, written once per reply.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Sampling {
    /// 0 = greedy; otherwise 1e-6 to 1e6.
    pub temperature: f32,
    /// Keep the k most likely; 0 = all.
    pub top_k: u32,
    /// Keep the most likely until their probabilities reach p; 1 = all.
    pub top_p: f32,
    /// Keep those with at least min_p times the largest probability; 0 = all.
    pub min_p: f32,
    /// Seen ids: l > 0 ? l / penalty : l * penalty; 1 = off (as in transformers). 0.01 to 3.
    pub repetition_penalty: f32,
    /// Seed of the counter-based generator.
    pub seed: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

impl Sampling {
    /// The highest logit, nothing else.
    pub const GREEDY: Sampling = Sampling {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        seed: 0,
        reserved: [0; 2],
    };

    /// The options in a binding.
    pub fn from_words(words: &[u32]) -> Sampling {
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&words[..8]))
    }
}

/// Logits per workgroup.
pub const CHUNK: u32 = 2048;

/// Most columns: an index is stored as f32.
pub const MAX_VOCAB: u32 = 1 << 24;

/// What to do.
pub struct Args {
    /// f32 [vocab_size], penalised in place.
    pub logits: Bind,
    /// Columns, 1 to `MAX_VOCAB`.
    pub vocab_size: u32,
    /// u32 [vocab_size]: non-zero = seen.
    pub seen: Bind,
    /// `Sampling`
    pub sampling: Bind,
    /// f32 [ceil(vocab_size / CHUNK), 4]: max, its lowest index, sum (0 when greedy), 0. All are f32, so that one
    /// tolerance below 1 / index checks them.
    pub chunks: Bind,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    vocab_size: u32,
    pad: [u32; 3],
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args) -> Step {
    assert!((1..=MAX_VOCAB).contains(&args.vocab_size), "sample_reduce: a vocabulary of {}", args.vocab_size);
    let params = Params { vocab_size: args.vocab_size, pad: [0; 3] };
    Step {
        kernel: &SampleReduce,
        label: label.to_string(),
        variant: Variant::new("sample_reduce", &Caps { f16: false, ..*caps })
            .constant("WG", 256)
            .constant("CHUNK", CHUNK),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings: vec![args.logits, args.seen, args.sampling, args.chunks],
        grid: [args.vocab_size.div_ceil(CHUNK), 1, 1],
    }
}

/// The kernel.
pub struct SampleReduce;

/// Penalises `logits` in place.
pub(super) fn penalise(logits: &mut [f32], seen: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let penalty = f64::from(penalty);
    for (logit, _) in logits.iter_mut().zip(seen).filter(|(_, seen)| **seen != 0) {
        let l = f64::from(*logit);
        // Masks of -3e38 must stay finite.
        *logit = if l > 0.0 { l / penalty } else { l.max(-1e38) * penalty } as f32;
    }
}

/// The words of `chunks` for penalised logits.
pub(super) fn reduced(logits: &[f32], temperature: f32) -> Vec<f32> {
    let mut chunks = Vec::new();
    for (start, chunk) in (0..).step_by(CHUNK as usize).zip(logits.chunks(CHUNK as usize)) {
        let max = chunk.iter().copied().fold(f32::MIN, f32::max);
        let index: u32 = start + chunk.iter().position(|l| *l == max).unwrap_or_default() as u32;
        let weight = |l: &f32| ((f64::from(*l) - f64::from(max)) / f64::from(temperature)).exp();
        let sum = if temperature > 0.0 { chunk.iter().map(weight).sum::<f64>() } else { 0.0 };
        chunks.extend([max, index as f32, sum as f32, 0.0]);
    }
    chunks
}

impl Kernel for SampleReduce {
    fn stem(&self) -> &'static str {
        "sample_reduce"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        vec![Access::ReadWrite, Access::Read, Access::Read, Access::ReadWrite]
    }
    fn params_bytes(&self) -> usize {
        size_of::<Params>()
    }
    fn reference(&self, _variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = bytemuck::pod_read_unaligned(params);
        let [logits, seen, sampling, chunks] = io else { panic!("sample_reduce has 4 bindings") };
        let sampling = Sampling::from_words(sampling.words());
        let logits = &mut logits.f32s_mut()[..p.vocab_size as usize];
        penalise(logits, seen.words(), sampling.repetition_penalty);
        let words = reduced(logits, sampling.temperature);
        chunks.f32s_mut()[..words.len()].copy_from_slice(&words);
    }
}
