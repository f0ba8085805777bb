//! Sampling as a user sees it: what is drawn follows the distribution that the options ask for, on the references and
//! on a GPU, and depends on nothing but the logits, the options and the number of the draw.

mod common;

use lacewing::execute::cpu::CpuExecutor;
use lacewing::execute::{BufferUse, Executor};
use lacewing::kernels::sample_reduce::{CHUNK, Sampling};
use lacewing::kernels::{Bind, BufferId, StepState, sample, sample_reduce};

const WARM: Sampling = Sampling { temperature: 1.0, seed: 1, ..Sampling::GREEDY };

/// `n` draws in a row from the same logits, the penalty applied anew each time.
fn draws(executor: &mut dyn Executor, logits: &[f32], sampling: Sampling, n: usize) -> Vec<u32> {
    let vocab_size = logits.len() as u32;
    let mut bind = |words: usize| {
        let bytes = 4 * words as u64;
        Bind { buffer: executor.create_buffer("sampling", bytes, BufferUse::State).unwrap(), offset: 0, bytes }
    };
    let logits_bind = bind(logits.len());
    let seen = bind(logits.len());
    let options = bind(8);
    let chunks = bind(4 * vocab_size.div_ceil(CHUNK) as usize);
    let (state, ids, ring) = (bind(8), bind(1), bind(n));
    let reduce = sample_reduce::Args { logits: logits_bind, vocab_size, seen, sampling: options, chunks };
    let draw = sample::Args {
        logits: logits_bind,
        vocab_size,
        chunks,
        sampling: options,
        state,
        ids,
        seen,
        ring,
        ring_len: n as u32,
    };
    let caps = executor.caps();
    let steps = [sample_reduce::step(&caps, "reduce", &reduce), sample::step(&caps, "sample", &draw)];
    let plan = executor.compile(&steps).unwrap();
    executor.write(options.buffer, 0, bytemuck::bytes_of(&sampling)).unwrap();
    let start = StepState { position: 100, row: 60, n_tokens: 7, ..StepState::default() };
    executor.write(state.buffer, 0, bytemuck::bytes_of(&start)).unwrap();
    for _ in 0..n {
        executor.write(logits_bind.buffer, 0, bytemuck::cast_slice(logits)).unwrap();
        executor.run(plan).unwrap();
    }
    let mut read = |b: Bind| -> Vec<u32> {
        bytemuck::pod_collect_to_vec(&pollster::block_on(executor.read(b.buffer, 0, b.bytes)).unwrap())
    };
    let drawn = read(ring);
    assert_eq!(read(state)[..4], [106 + n as u32, 1, n as u32, 66 + n as u32]);
    assert_eq!(read(ids)[0], drawn[n - 1]);
    let marked: Vec<u32> = (0..).zip(read(seen)).filter(|(_, seen)| *seen == 1).map(|(id, _)| id).collect();
    let mut distinct = drawn.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(marked, distinct);
    executor.drop_plan(plan);
    let buffers: [BufferId; 7] = [logits_bind, seen, options, chunks, state, ids, ring].map(|b| b.buffer);
    buffers.into_iter().for_each(|id| executor.destroy_buffer(id));
    drawn
}

fn cpu(logits: &[f32], sampling: Sampling, n: usize) -> Vec<u32> {
    draws(&mut CpuExecutor::default(), logits, sampling, n)
}

/// The distribution, step by step as transformers' warpers: each filter masks and renormalises.
fn distribution(logits: &[f32], s: Sampling) -> Vec<f64> {
    let mut p: Vec<f64> = logits.iter().map(|l| (f64::from(*l) / f64::from(s.temperature)).exp()).collect();
    let renormalise = |p: &mut Vec<f64>| {
        let sum: f64 = p.iter().sum();
        p.iter_mut().for_each(|p| *p /= sum);
    };
    renormalise(&mut p);
    let ranked = |p: &[f64]| {
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|a, b| p[*b].partial_cmp(&p[*a]).unwrap()); // stable: ties by id
        order
    };
    if s.top_k > 0 {
        ranked(&p).into_iter().skip(s.top_k as usize).for_each(|i| p[i] = 0.0);
        renormalise(&mut p);
    }
    if s.top_p < 1.0 {
        let mut above = 0.0; // a token goes when what is more likely already reaches top_p
        for i in ranked(&p) {
            let own = p[i];
            if above >= f64::from(s.top_p) {
                p[i] = 0.0;
            }
            above += own;
        }
        renormalise(&mut p);
    }
    let least = f64::from(s.min_p) * p.iter().copied().fold(0.0, f64::max);
    p.iter_mut().filter(|p| **p < least).for_each(|p| *p = 0.0);
    renormalise(&mut p);
    p
}

/// Pearson's statistic over its limit: the point that one fair sample in 30000 exceeds (z = 4, Wilson and Hilferty).
/// Cells that expect fewer than 5 are joined; anything drawn where nothing is expected gives infinity.
fn misfit(counts: &[usize], expected: &[f64]) -> f64 {
    let n = counts.iter().sum::<usize>() as f64;
    let mut cells = Vec::new();
    let mut rest = (0.0, 0.0);
    for (count, p) in counts.iter().zip(expected) {
        if *p == 0.0 && *count > 0 {
            return f64::INFINITY;
        }
        if p * n >= 5.0 {
            cells.push((*count as f64, p * n));
        } else {
            rest = (rest.0 + *count as f64, rest.1 + p * n);
        }
    }
    if rest.1 >= 5.0 {
        cells.push(rest);
    }
    assert!(cells.len() > 1, "one cell always fits");
    let statistic: f64 = cells.iter().map(|(count, np)| (count - np).powi(2) / np).sum();
    let df = (cells.len() - 1) as f64;
    let spread = 2.0 / (9.0 * df);
    statistic / (df * (1.0 - spread + 4.0 * spread.sqrt()).powi(3))
}

fn count(drawn: impl IntoIterator<Item = u32>, cells: usize) -> Vec<usize> {
    let mut counts = vec![0; cells];
    drawn.into_iter().for_each(|id| counts[id as usize] += 1);
    counts
}

/// 40 logits from -3 to 3, out of order, two pairs of them equal.
fn forty() -> Vec<f32> {
    let mut logits: Vec<f32> = (0..40).map(|i| (i * 23 % 40) as f32 * 0.15 - 3.0).collect();
    logits[3] = logits[30];
    logits[11] = logits[5];
    logits
}

#[test]
fn draws_follow_the_distribution() {
    let logits = forty();
    let options = [
        WARM,
        Sampling { temperature: 0.5, ..WARM },
        Sampling { temperature: 3.0, ..WARM },
        Sampling { top_k: 7, ..WARM },
        Sampling { top_p: 0.62, ..WARM },
        Sampling { min_p: 0.21, ..WARM },
        Sampling { temperature: 1.7, top_k: 30, top_p: 0.9, min_p: 0.1, ..WARM },
    ];
    for (seed, sampling) in (50..).zip(options) {
        let sampling = Sampling { seed, ..sampling };
        let counts = count(cpu(&logits, sampling, 4000), 40);
        let misfit_of = |s| misfit(&counts, &distribution(&logits, s));
        assert!(misfit_of(sampling) < 1.0, "{sampling:?}: {}", misfit_of(sampling));
        let warmer = Sampling { temperature: sampling.temperature * 2.0, ..sampling };
        assert!(misfit_of(warmer) > 1.0, "the test cannot tell {sampling:?} from {warmer:?}");
    }
}

#[test]
fn random_words_are_independent() {
    // All ids, consecutive draws as pairs, and the first draw of consecutive seeds, from equal logits.
    let wide = count(cpu(&[0.5; 256], WARM, 8000), 256);
    assert!(misfit(&wide, &[1.0 / 256.0; 256]) < 1.0);
    let drawn = cpu(&[0.5; 8], WARM, 8000);
    let pairs = count(drawn.chunks_exact(2).map(|pair| 8 * pair[0] + pair[1]), 64);
    assert!(misfit(&pairs, &[1.0 / 64.0; 64]) < 1.0);
    let seeds = (0..4000).map(|seed| {
        let two = cpu(&[0.5; 4], Sampling { seed, ..WARM }, 2);
        4 * two[0] + two[1]
    });
    assert!(misfit(&count(seeds, 16), &[1.0 / 16.0; 16]) < 1.0);
}

#[test]
fn the_seed_decides() {
    let logits = forty();
    let of = |seed| cpu(&logits, Sampling { seed, ..WARM }, 200);
    assert_eq!(of(5), of(5));
    for other in [0, 4, 6, 5 + (1 << 31)] {
        let same = of(5).iter().zip(of(other)).filter(|(a, b)| **a == *b).count();
        assert!(same < 40, "seeds 5 and {other} agree in {same} of 200 draws"); // sum of p^2 is 0.075: 15 expected
    }
    assert_eq!(cpu(&logits, Sampling { seed: 9, ..Sampling::GREEDY }, 2), [33, 33]); // 33 * 23 % 40 = 39, the highest
}

/// The ids that 400 draws give; every survivor of these tests has a probability above 0.03.
fn support(logits: &[f32], sampling: Sampling) -> Vec<u32> {
    let mut drawn = cpu(logits, sampling, 400);
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}

/// Probabilities 1/2, 1/4, 1/8, 1/16, 1/16, the last two equal.
#[test]
fn filters_are_in_the_order_of_transformers() {
    let logits = [0.5f32, 0.25, 0.125, 0.0625, 0.0625].map(f32::ln);
    let of = |sampling| support(&logits, sampling);
    // top-k leaves 0.571, 0.286, 0.143: the first two reach 0.8. Before top-k it would take three (0.5, 0.75, 0.875).
    assert_eq!(of(Sampling { top_k: 3, top_p: 0.8, ..WARM }), [0, 1]);
    assert_eq!(of(Sampling { top_p: 0.8, ..WARM }), [0, 1, 2]);
    // min-p comes last: were 1/8 and less gone before top-p, the first alone (0.667) would reach 0.6.
    assert_eq!(of(Sampling { top_p: 0.6, min_p: 0.3, ..WARM }), [0, 1]);
    assert_eq!(of(Sampling { min_p: 0.3, ..WARM }), [0, 1]);
    // The temperature comes first: at 2 they are 0.343, 0.243, 0.172, 0.121, 0.121.
    assert_eq!(of(Sampling { temperature: 2.0, top_p: 0.5, ..WARM }), [0, 1]);
    assert_eq!(of(Sampling { temperature: 2.0, min_p: 0.4, ..WARM }), [0, 1, 2]);
    // The token that crosses p stays, one always stays, equals go by id.
    assert_eq!(of(Sampling { top_p: 0.51, ..WARM }), [0, 1]);
    assert_eq!(of(Sampling { top_p: 1e-6, ..WARM }), [0]);
    assert_eq!(of(Sampling { top_k: 4, ..WARM }), [0, 1, 2, 3]);
    assert_eq!(of(Sampling { top_p: 0.93, ..WARM }), [0, 1, 2, 3]);
    assert_eq!(of(WARM), [0, 1, 2, 3, 4]);
}

#[test]
fn the_penalty_acts_on_logits_once_a_token_was_drawn() {
    let greedy = |logits: &[f32]| cpu(logits, Sampling { repetition_penalty: 2.0, ..Sampling::GREEDY }, 4);
    assert_eq!(greedy(&[3.0, 2.0, 1.0, -5.0]), [0, 1, 0, 0]); // 3 -> 1.5 < 2 -> 1 < 1.5
    assert_eq!(greedy(&[-1.0, -1.5, -9.0]), [0, 1, 0, 0]); // -1 -> -2 < -1.5 -> -3 < -2
}

/// Draw by draw: a score within rounding of another (1e-5) is the only way to differ, here once in 50 runs of other
/// seeds.
#[test]
fn a_gpu_draws_what_the_reference_draws() {
    let mut gpu = common::gpu(None);
    let logits: Vec<f32> = (0..2500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 * 2e-3 - 4.0).collect();
    let levels: Vec<f32> = logits.iter().map(|l| l.round()).collect(); // nine values, each hundreds of times
    let options = [
        WARM,
        Sampling { top_k: 5, ..WARM },
        Sampling { top_k: 40, temperature: 5.0, ..WARM },
        Sampling { top_k: 257, ..WARM },
        Sampling { top_p: 0.03011, ..WARM },
        Sampling { top_p: 0.8003, temperature: 2.0, ..WARM },
        Sampling { min_p: 0.103, ..WARM },
        Sampling { top_k: 90, top_p: 0.7003, min_p: 0.602, repetition_penalty: 1.1, ..WARM },
    ];
    for (seed, sampling) in (20..).zip(options) {
        for logits in [&logits, &levels] {
            let sampling = Sampling { seed, ..sampling };
            assert_eq!(draws(&mut gpu, logits, sampling, 200), cpu(logits, sampling, 200), "{sampling:?}");
        }
    }
}

#[test]
fn the_largest_vocabularies_are_searched_whole() {
    let mut gpu = common::gpu(None);
    let mut logits: Vec<f32> =
        (0..262_144u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 14) as f32 * 4e-5 - 4.0).collect();
    logits[262_143] = logits.iter().copied().fold(f32::MIN, f32::max); // a tie: the lower id wins
    let options = [
        Sampling::GREEDY,
        WARM,
        Sampling { top_k: 100, temperature: 9.0, ..WARM },
        Sampling { top_k: 70_001, temperature: 9.0, ..WARM },
        Sampling { top_p: 0.5, ..WARM },
    ];
    for sampling in options {
        for vocab in [262_144, 151_937] {
            let logits = &logits[..vocab];
            assert_eq!(draws(&mut gpu, logits, sampling, 3), cpu(logits, sampling, 3), "{vocab} {sampling:?}");
        }
    }
    // Equals: the first k ids, uniformly.
    let drawn = draws(&mut gpu, &[0.25; 262_144], Sampling { top_k: 3, ..WARM }, 60);
    assert!(misfit(&count(drawn, 3), &[1.0 / 3.0; 3]) < 1.0);
}
