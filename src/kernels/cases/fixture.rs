//! Building blocks of test cases: seeded spiky inputs, sentinel-filled outputs, buffers numbered as they are added.

use super::Case;
use crate::kernels::{Bind, BufferId, KvType, Matrix, MatrixPart, Slot, Step, StepState};
use crate::weights::random::{Random, random_rows};
use crate::weights::{Layout, UNIT, units};

/// What outputs hold before a kernel runs: finite as f32 (2.3e7) and as two f16 (15.4).
pub(super) const SENTINEL: u32 = 0x4BAD_4BAD;

/// Words that an output buffer has beyond what its kernel may write.
const MARGIN: usize = 8;

/// A seeded generator of test inputs.
pub(super) struct Rng(Random);

impl Rng {
    /// A generator; equal seeds give equal sequences, others than those of the weights.
    pub fn new(seed: u64) -> Rng {
        Rng(Random::new(seed ^ 0x5851_F42D_4C95_7F2D))
    }
    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        (self.0.next_u64() >> 32) as u32
    }
    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.word() >> 8) as f32 / (1 << 24) as f32
    }
    /// Roughly normal, standard deviation 1.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
    /// Normal values with one in 61 about 16 times as large, as activations have.
    pub fn spiky(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal() * if self.word().is_multiple_of(61) { 16.0 } else { 1.0 }).collect()
    }
}

/// Collects the buffers of one case.
#[derive(Default)]
pub(super) struct Fixture {
    buffers: Vec<Vec<u32>>,
}

impl Fixture {
    /// A buffer with these words.
    pub fn words(&mut self, words: Vec<u32>) -> Bind {
        let bind = Bind { buffer: BufferId(self.buffers.len() as u32), offset: 0, bytes: 4 * words.len() as u64 };
        self.buffers.push(words);
        bind
    }
    /// A buffer with these numbers.
    pub fn f32s(&mut self, values: &[f32]) -> Bind {
        self.words(bytemuck::cast_slice(values).to_vec())
    }
    /// A buffer with these numbers and a margin of sentinels, for buffers that are read and written.
    pub fn f32s_with_margin(&mut self, values: &[f32]) -> Bind {
        let mut words: Vec<u32> = bytemuck::cast_slice(values).to_vec();
        words.resize(words.len() + MARGIN, SENTINEL);
        self.words(words)
    }
    /// A KV cache with these values, as the type stores them.
    pub fn cache(&mut self, kv_type: KvType, values: &[f32]) -> Bind {
        let mut words = vec![0; kv_type.bytes(values.len() as u64) as usize / 4];
        let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        kv_type.store(&mut Slot::Out(&mut words), 0, &values);
        self.words(words)
    }
    /// A random matrix in parts of at most `part_rows` rows.
    pub fn matrix(&mut self, layout: Layout, rows: u32, cols: u32, part_rows: u32, seed: u64) -> Matrix {
        let mut parts = Vec::new();
        for row_start in (0..rows).step_by(part_rows as usize) {
            let rows = part_rows.min(rows - row_start);
            let data = random_rows(layout, rows, cols, seed + u64::from(row_start));
            let mut meta: Vec<u32> = data.high.into_iter().chain(data.scales).collect();
            meta.resize(meta.len().max(4), 0);
            parts.push(MatrixPart { row_start, rows, codes: self.words(data.codes), meta: self.words(meta) });
        }
        Matrix { layout, rows, cols, parts }
    }
    /// `rows` rows of spiky activations in whole units; beyond `cols` lies finite rubbish.
    pub fn activations(&mut self, rows: u32, cols: u32, rng: &mut Rng) -> Bind {
        let stride = units(cols) * UNIT;
        let mut x = vec![-1.0e4; (rows * stride) as usize];
        for row in x.chunks_exact_mut(stride as usize) {
            row[..cols as usize].copy_from_slice(&rng.spiky(cols as usize));
        }
        self.f32s(&x)
    }
    /// An output of `n` words, and the margin.
    pub fn output(&mut self, n: usize) -> Bind {
        self.words(vec![SENTINEL; n + MARGIN])
    }
    /// A step state at KV row `row`; the position is what only rope may read.
    pub fn state(&mut self, row: u32, n_tokens: u32) -> Bind {
        self.state_at(row + 1000, row, n_tokens)
    }
    /// A step state.
    pub fn state_at(&mut self, position: u32, row: u32, n_tokens: u32) -> Bind {
        let state = StepState { position, n_tokens, row, ..StepState::default() };
        self.words(bytemuck::cast_slice(&[state]).to_vec())
    }
    /// Rows that each KV head lost before `row`: the first none, the second some, the third nearly all, and so on.
    pub fn gone(&mut self, row: u32, n_kv_heads: u32) -> Bind {
        let lost = |head: u32| match head % 3 {
            0 => head % (row + 1),
            1 => head * 37 % (row + 1),
            _ => row.saturating_sub(head),
        };
        let mut gone: Vec<u32> = (0..n_kv_heads).map(lost).collect();
        gone.resize(gone.len().next_multiple_of(4), u32::MAX);
        self.words(gone)
    }
    /// The case.
    pub fn case(self, step: Step, atol: f32, rtol: f32) -> Case {
        Case { step, buffers: self.buffers, atol, rtol }
    }
}
