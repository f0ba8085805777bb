//! Test cases of drawing a token.

use super::fixture::{Fixture, Rng, SENTINEL};
use super::sample_reduce::logits_of;
use super::{Case, caps_of};
use crate::kernels::sample::{Args, decide, step};
use crate::kernels::sample_reduce::{Sampling, penalise, reduced};
use crate::kernels::{Caps, StepState, Variant};

/// Every option alone and together, over logits of every shape.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    let warm = Sampling { temperature: 0.8, seed: 7, ..Sampling::GREEDY };
    for vocab in [1, 2, 31, 128, 2048, 2049, 5000, 49152] {
        let some = [
            Sampling::GREEDY,
            warm,
            Sampling { top_k: 1, ..warm },
            Sampling { top_k: 2, ..warm },
            Sampling { top_k: 40, ..warm },
            Sampling { top_k: 300, ..warm },
            Sampling { top_p: 0.1, ..warm },
            Sampling { top_p: 0.501, ..warm },
            Sampling { top_p: 0.951, temperature: 1.5, ..warm },
            Sampling { top_p: 0.2503, temperature: 50.0, ..warm }, // more than a list holds
            Sampling { min_p: 0.07, ..warm },
            Sampling { top_k: 50, top_p: 0.93, min_p: 0.011, temperature: 2.5, seed: 99, ..warm },
            Sampling { repetition_penalty: 1.3, ..Sampling::GREEDY },
            Sampling { repetition_penalty: 1.2, top_k: 20, top_p: 0.79, ..warm },
        ];
        cases.extend(some.map(|sampling| case(caps, "spiky", vocab, sampling)));
    }
    for shape in ["equal", "zeros", "ties", "peak", "masked", "all masked"] {
        for vocab in [128, 2049, 5000] {
            let some = [
                Sampling::GREEDY,
                warm,
                Sampling { top_k: 1, ..warm },
                Sampling { top_k: 2, ..warm },
                Sampling { top_k: 40, ..warm },
                Sampling { top_k: 1000, ..warm },
                Sampling { top_p: 0.0501, ..warm },
                Sampling { top_p: 0.3337, ..warm },
                Sampling { top_k: 100, top_p: 0.333, ..warm },
                Sampling { top_k: 40, top_p: 0.9903, ..warm }, // all 40 of equals
                Sampling { min_p: 1.0, top_p: 0.777, ..warm },
                Sampling { temperature: 1e-3, ..warm },
            ];
            cases.extend(some.map(|sampling| case(caps, shape, vocab, sampling)));
        }
    }
    cases
}

pub(super) fn for_variant(variant: &Variant) -> Case {
    let sampling = Sampling { temperature: 0.8, seed: 7, top_k: 30, top_p: 0.91, ..Sampling::GREEDY };
    case(&caps_of(variant), "spiky", 3000, sampling)
}

/// The draw is the first, from 5 on, in which f32 and the exp and log of GPUs cannot change the outcome.
fn case(caps: &Caps, shape: &str, vocab: u32, sampling: Sampling) -> Case {
    let mut f = Fixture::default();
    let mut rng = Rng::new(u64::from(vocab));
    let mut logits = logits_of(shape, vocab as usize, &mut rng);
    let seen: Vec<u32> = (0..vocab).map(|_| u32::from(rng.word().is_multiple_of(3))).collect();
    penalise(&mut logits, &seen, sampling.repetition_penalty);
    let label = format!("sample {shape} {vocab} {sampling:?}");
    let sure = |draws: &u32| {
        let d = decide(&logits, &sampling, *draws);
        let equal = sampling.min_p == 1.0; // compares equals only, which is exact
        assert!(equal || d.filter_margin > 2e-5, "{label}: a filter decides within {}", d.filter_margin);
        d.draw_margin > 1e-3
    };
    let draws = (5..200).find(sure).unwrap_or_else(|| panic!("{label}: no draw is clear"));
    let state = StepState { position: 11, n_tokens: 3, draws, row: 6, reserved: [SENTINEL; 4] };
    let args = Args {
        logits: f.f32s(&logits),
        vocab_size: vocab,
        chunks: f.f32s(&reduced(&logits, sampling.temperature)),
        sampling: f.words(bytemuck::cast_slice(&[sampling]).to_vec()),
        state: f.words(bytemuck::cast_slice(&[state]).to_vec()),
        ids: f.output(1),
        seen: f.words([seen, vec![SENTINEL; 8]].concat()),
        ring: f.output(4),
        ring_len: 4,
    };
    f.case(step(caps, &label, &args), 0.0, 0.0)
}
