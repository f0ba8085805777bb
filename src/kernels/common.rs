//! What the kernels that read weights share: addressing of a matrix part, work distribution, test data.

use super::{Bind, BufferId, Caps, Matrix, MatrixPart, StepState, Variant};
use crate::weights::random::{Random, random_rows};
use crate::weights::{Layout, units};

/// Where a shader finds the words of a matrix part: the first fields of every `Params` with `#import quant/LAYOUT`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct WeightParams {
    /// 16-byte words of codes per row.
    pub chunks: u32,
    /// Words of scales per row.
    pub scale_words: u32,
    /// First word of the scales in `meta`.
    pub scale_base: u32,
}

impl WeightParams {
    /// For a part of `rows` rows.
    pub fn new(layout: Layout, rows: u32, cols: u32) -> WeightParams {
        WeightParams {
            chunks: layout.row_code_words(cols) / 4,
            scale_words: layout.scale_words(cols),
            scale_base: rows * layout.row_high_words(cols),
        }
    }
}

/// Variant of a kernel that uses no f16 types: one pipeline for the tiers with and without the feature.
pub fn variant(stem: &'static str, caps: &Caps, layout: Layout) -> Variant {
    Variant::new(stem, &Caps { f16: false, ..*caps }).layout(layout)
}

/// `n` workgroups over x and y, so that neither exceeds WebGPU's 65535. The shader drops the surplus.
pub fn fold_grid(n: u32) -> [u32; 3] {
    let y = n.div_ceil(65_535).max(1);
    [n.div_ceil(y).max(1), y, 1]
}

/// How threads share the rows of a mat-vec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Teams {
    /// Threads that share the same rows and stride over K: 8..=64.
    pub lanes: u32,
    /// Such teams in a workgroup.
    pub groups: u32,
}

impl Teams {
    /// Threads per workgroup: two subgroups of 32, and few enough that small matrices spread over the device.
    const THREADS: u32 = 64;

    /// As many lanes as a row of `chunks` keeps busy, but enough threads in all (`teams` of them) to fill a device.
    pub fn select(chunks: u32, teams: u32) -> Teams {
        let busy = |lanes: u32| chunks * 10 >= chunks.div_ceil(lanes) * lanes * 7;
        let mut lanes = Self::THREADS;
        while lanes > 8 && !busy(lanes) {
            lanes /= 2;
        }
        while lanes < Self::THREADS && lanes < chunks && u64::from(teams) * u64::from(lanes) < 16_384 {
            lanes *= 2;
        }
        Teams { lanes, groups: Self::THREADS / lanes }
    }

    /// Sets the constants that `shaders/lib/lanes.wgsl` needs.
    pub fn define(self, variant: Variant) -> Variant {
        variant.constant("WG", self.lanes * self.groups).constant("LANES", self.lanes).constant("GROUPS", self.groups)
    }
}

/// What output buffers of cases hold before the kernel runs: a finite number that no kernel computes.
pub const SENTINEL: u32 = 0x4B1D_B1EF;

/// Words behind every output that nobody may write.
const GUARD: usize = 7;

/// Buffers of a test case.
#[derive(Default)]
pub struct CaseBuffers {
    /// Their contents.
    pub words: Vec<Vec<u32>>,
}

impl CaseBuffers {
    /// A buffer with these words, padded to 16 bytes.
    pub fn words(&mut self, mut words: Vec<u32>) -> Bind {
        words.resize(words.len().max(1).next_multiple_of(4), 0);
        let bytes = words.len() as u64 * 4;
        self.words.push(words);
        Bind { buffer: BufferId(self.words.len() as u32 - 1), offset: 0, bytes }
    }
    /// A buffer of f32.
    pub fn f32s(&mut self, values: &[f32]) -> Bind {
        self.words(values.iter().map(|v| v.to_bits()).collect())
    }
    /// An output of `len` words, all sentinels.
    pub fn output(&mut self, len: usize) -> Bind {
        self.words(vec![SENTINEL; len + GUARD])
    }
    /// An output that is read as well: f32 values, then sentinels.
    pub fn in_out(&mut self, values: &[f32]) -> Bind {
        let guard = std::iter::repeat_n(SENTINEL, GUARD);
        self.words(values.iter().map(|v| v.to_bits()).chain(guard).collect())
    }
    /// The step state.
    pub fn state(&mut self, position: u32, n_tokens: u32) -> Bind {
        let state = StepState { position, n_tokens, ..Default::default() };
        self.words(bytemuck::cast_slice(&[state]).to_vec())
    }
    /// A random matrix in parts of at most `part_rows` rows.
    pub fn matrix(&mut self, layout: Layout, rows: u32, cols: u32, part_rows: u32, seed: u64) -> Matrix {
        let mut parts = Vec::new();
        for row_start in (0..rows).step_by(part_rows.max(1) as usize) {
            let n = part_rows.min(rows - row_start);
            let data = random_rows(layout, n, cols, seed + u64::from(row_start));
            let codes = self.words(data.codes);
            let meta = self.words(data.high.into_iter().chain(data.scales).collect());
            parts.push(MatrixPart { row_start, rows: n, codes, meta });
        }
        Matrix { layout, rows, cols, parts }
    }
}

/// Seeded activations in -1..1 with a spike of up to 40 in about every fiftieth element, as transformers have them.
pub fn spiky(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Random::new(seed);
    (0..n).map(|_| rng.signed() * if rng.below(50) == 0 { 40.0 } else { 1.0 }).collect()
}

/// `rows` rows of spiky activations with `stride`; beyond `cols` lies finite rubbish.
pub fn spiky_rows(rows: u32, cols: u32, stride: u32, seed: u64) -> Vec<f32> {
    let mut x = spiky((rows * stride) as usize, seed);
    for row in x.chunks_exact_mut(stride as usize) {
        row[cols as usize..].fill(-12345.0);
    }
    x
}

/// Layouts to test: all, but one where `caps` has f16 types, which change no text that `variant` names.
pub fn test_layouts(caps: &Caps) -> &'static [Layout] {
    if caps.f16 { &[Layout::Ga6K] } else { Layout::ALL }
}

/// Columns of test matrices: tiny, unaligned (for layouts without blocks), and about real.
pub fn test_cols(layout: Layout) -> [u32; 3] {
    match layout {
        Layout::F32 | Layout::F16 | Layout::Bf16 => [4, 100, 576],
        Layout::Ga4Sym | Layout::Ga8Sym => [32, 96, 576],
        Layout::Ga4K | Layout::Ga5K | Layout::Ga6K => [256, 768, 2304],
    }
}

/// Row stride of activations: whole units.
pub fn stride(cols: u32) -> u32 {
    units(cols) * crate::weights::UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_fill_workgroups_and_rows() {
        for chunks in [1, 2, 9, 18, 36, 64, 72, 100, 144, 512, 4096] {
            for teams in [1, 10, 144, 4096, 40_000] {
                let t = Teams::select(chunks, teams);
                assert_eq!(t.lanes * t.groups, 64);
                assert!((8..=64).contains(&t.lanes) && t.lanes.is_power_of_two(), "{chunks} {teams}: {t:?}");
            }
        }
        // A long row takes the whole workgroup, a short one of a large matrix a part of it.
        assert_eq!(Teams::select(512, 4096).lanes, 64);
        assert_eq!(Teams::select(18, 40_000).lanes, 8);
        assert_eq!(Teams::select(18, 144).lanes, 32);
    }

    #[test]
    fn grids_stay_below_the_limit_and_cover() {
        for n in [1, 2, 65_535, 65_536, 131_071, 10_000_000] {
            let [x, y, z] = fold_grid(n);
            assert!(x <= 65_535 && y <= 65_535 && z == 1);
            assert!(u64::from(x) * u64::from(y) >= u64::from(n));
        }
    }
}
