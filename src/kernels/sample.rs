//! Second half of sampling, one workgroup: joins the chunks, finds the exact top-k / top-p / min-p threshold by a
//! radix select over the logits, draws by the Gumbel-max rule with a counter-based generator (so that the result does
//! not depend on the order of reduction), writes the id and advances the step state.
//!
//! Order as in transformers: penalty (done), temperature, top-k, top-p, min-p, each renormalised. Greedy: highest
//! logit, lowest id on ties.

use super::params::{self, Field, params};
use super::sample_reduce::{CHUNK, MAX_VOCAB, Sampling};
use super::{Access, Bind, Caps, Kernel, OutputKind, Slot, Step, StepState, Variant};

/// What to do. Afterwards: ids[0] = ring[draws % ring_len] = token, seen[token] = 1, state.position and state.row +=
/// state.n_tokens, state.n_tokens = 1, state.draws += 1.
pub struct Args {
    /// f32 [vocab_size], penalised.
    pub logits: Bind,
    /// Columns, 1 to `MAX_VOCAB`.
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
    /// Words of `ring`, at least 1.
    pub ring_len: u32,
}

params! {
    /// As in the shader.
    struct Params {
        vocab_size: u32,
        n_chunks: u32,
        ring_len: u32,
    }
}

/// Builds the step. One text for all tiers: workgroup atomics need nothing.
pub fn step(_caps: &Caps, label: &str, args: &Args) -> Step {
    assert!(
        (1..=MAX_VOCAB).contains(&args.vocab_size) && args.ring_len > 0,
        "sample: a vocabulary of {} and a ring of {}",
        args.vocab_size,
        args.ring_len
    );
    let n_chunks = args.vocab_size.div_ceil(CHUNK);
    let params = Params { vocab_size: args.vocab_size, n_chunks, ring_len: args.ring_len };
    Step {
        kernel: &Sample,
        label: label.to_string(),
        variant: Variant::new("sample", &Caps::BASE).constant("WG", 256),
        params: params::encode(&params),
        bindings: vec![args.logits, args.chunks, args.sampling, args.state, args.ids, args.seen, args.ring],
        grid: [1, 1, 1],
    }
}

/// The random bits of an id: two rounds of an integer hash under a key of (seed, draws).
fn random_word(seed: u32, draws: u32, id: u32) -> u32 {
    let mix = |word: u32| {
        let word = (word ^ word >> 16).wrapping_mul(0x21f0_aaad);
        let word = (word ^ word >> 15).wrapping_mul(0x735a_2d97);
        word ^ word >> 15
    };
    let key = mix(seed ^ mix(draws));
    mix(mix(id ^ key).wrapping_add(mix(key.wrapping_add(0x9e37_79b9))))
}

/// A standard Gumbel variate from random bits.
fn gumbel(word: u32) -> f64 {
    let uniform = (f64::from(word) + 0.5) / 2f64.powi(32);
    -(-(-uniform).ln_1p()).ln()
}

/// A token, and how far the nearest decision on the way to it was from falling otherwise.
pub(super) struct Decision {
    pub(super) token: u32,
    /// Relative distance of a cumulative probability to top_p, of a probability to min_p times the largest.
    pub(super) filter_margin: f64,
    /// Between the two highest scores.
    pub(super) draw_margin: f64,
}

pub(super) fn decide(logits: &[f32], sampling: &Sampling, draws: u32) -> Decision {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let logit = |id: u32| f64::from(logits[id as usize]) + 0.0; // -0 equals 0
    order.sort_by(|a, b| logit(*b).total_cmp(&logit(*a)).then(a.cmp(b)));
    let largest = order[0];
    let mut decision = Decision { token: largest, filter_margin: 1.0, draw_margin: 1.0 };
    if sampling.temperature <= 0.0 {
        return decision;
    }
    let scaled = |id: u32| (logit(id) - logit(largest)) / f64::from(sampling.temperature);
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k as usize);
    }
    if sampling.top_p < 1.0 {
        let total: f64 = order.iter().map(|id| scaled(*id).exp()).sum();
        let mut reached = 0.0;
        let mut kept = 0;
        while kept == 0 || reached < f64::from(sampling.top_p) * total {
            reached += scaled(order[kept]).exp();
            kept += 1;
            let distance = (reached / total / f64::from(sampling.top_p) - 1.0).abs();
            decision.filter_margin = decision.filter_margin.min(distance);
        }
        order.truncate(kept);
    }
    if sampling.min_p > 0.0 {
        let ratio = |id: u32| scaled(id).exp() / f64::from(sampling.min_p);
        for id in &order {
            decision.filter_margin = decision.filter_margin.min((ratio(*id) - 1.0).abs());
        }
        order.retain(|id| *id == largest || ratio(*id) >= 1.0);
    }
    let mut best = f64::NEG_INFINITY;
    for id in order {
        let score = scaled(id).max(-80.0) + gumbel(random_word(sampling.seed, draws, id));
        if score > best || (score == best && id < decision.token) {
            decision.draw_margin = score - best;
            (best, decision.token) = (score, id);
        } else {
            decision.draw_margin = decision.draw_margin.min(best - score);
        }
    }
    decision
}

/// The kernel.
pub struct Sample;

impl Kernel for Sample {
    fn stem(&self) -> &'static str {
        "sample"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        use Access::{Read, ReadWrite};
        vec![Read, Read, Read, ReadWrite, ReadWrite, ReadWrite, ReadWrite]
    }
    fn outputs(&self, _variant: &Variant) -> OutputKind {
        OutputKind::U32
    }
    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }
    fn reference(&self, _variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let [logits, _chunks, sampling, state, ids, seen, ring] = io else { panic!("sample has 7 bindings") };
        let StepState { position, n_tokens, draws, row, .. } = StepState::from_words(state.words());
        let logits = &logits.f32s()[..p.vocab_size as usize];
        let token = decide(logits, &Sampling::from_words(sampling.words()), draws).token;
        ids.words_mut()[0] = token;
        seen.words_mut()[token as usize] = 1;
        ring.words_mut()[(draws % p.ring_len) as usize] = token;
        state.words_mut()[..4].copy_from_slice(&[position + n_tokens, 1, draws + 1, row + n_tokens]);
    }
}
