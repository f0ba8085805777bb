//! Test cases of the first half of sampling.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of};
use crate::kernels::sample_reduce::{Args, CHUNK, Sampling, step};
use crate::kernels::{Caps, Variant};

/// Vocabularies around the size of a chunk, logits of every shape.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for vocab in [1, 2, 31, 128, 2048, 2049, 5000, 49152] {
        for (temperature, penalty) in [(0.0, 1.0), (0.0, 1.3), (0.7, 1.0), (1.0, 1.1), (2.0, 0.8)] {
            cases.push(case(caps, vocab, temperature, penalty, "spiky"));
        }
    }
    for (vocab, shape) in
        [(5000, "equal"), (5000, "peak"), (5000, "masked"), (128, "all masked"), (2049, "ties"), (2049, "zeros")]
    {
        for (temperature, penalty) in [(0.0, 1.0), (0.3, 1.2)] {
            cases.push(case(caps, vocab, temperature, penalty, shape));
        }
    }
    cases
}

pub(super) fn for_variant(variant: &Variant) -> Case {
    case(&caps_of(variant), 3000, 0.9, 1.2, "spiky")
}

/// Logits of `shape`: what sampling must get right.
pub(super) fn logits_of(shape: &str, vocab: usize, rng: &mut Rng) -> Vec<f32> {
    let mut logits = rng.spiky(vocab);
    match shape {
        "equal" => logits.fill(-2.5),
        "peak" => logits[vocab / 2] = 80.0,
        "masked" => logits.iter_mut().enumerate().filter(|(i, _)| i % 7 != 3).for_each(|(_, l)| *l = -3e38),
        "all masked" => logits.fill(-3e38),
        // Both zeros, equal, after something smaller.
        "zeros" => logits.iter_mut().enumerate().for_each(|(i, l)| *l = [-1.0, -0.0, 0.0][i.min(1 + i % 2)]),
        // Few values, each many times.
        "ties" => logits.iter_mut().for_each(|l| *l = (l.clamp(-3.0, 3.0) * 2.0).round() / 2.0),
        _ => {}
    }
    logits
}

fn case(caps: &Caps, vocab: u32, temperature: f32, penalty: f32, shape: &str) -> Case {
    let mut f = Fixture::default();
    let mut rng = Rng::new(u64::from(vocab));
    let logits = logits_of(shape, vocab as usize, &mut rng);
    let seen: Vec<u32> = (0..vocab).map(|i| if i == 0 { 1 } else { rng.word() % 3 }).collect();
    let args = Args {
        logits: f.f32s_with_margin(&logits),
        vocab_size: vocab,
        seen: f.words(seen),
        sampling: f.words(
            bytemuck::cast_slice(&[Sampling { temperature, repetition_penalty: penalty, ..Sampling::GREEDY }]).to_vec(),
        ),
        chunks: f.output(4 * vocab.div_ceil(CHUNK) as usize),
    };
    // exp is good to (3 + 2 |x|) ULP; below 1 / 49152, so that a wrong index fails
    f.case(step(caps, &format!("sample_reduce {shape} {vocab}"), &args), 1e-6, 1e-5)
}
