//! The table of device layouts: everything that differs between them, but for their shader in `shaders/quant/`.

use super::decode::{byte, half};
#[cfg(not(target_arch = "wasm32"))]
use super::random;
use super::transcode;
use crate::formats::DType::{BF16, F16, F32, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
use crate::formats::Stored::{self, Blocks};
use half::{bf16, f16};

/// Device layouts, in the order of the table below, which defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layout {
    /// Plain f32.
    F32,
    /// Plain f16.
    F16,
    /// Plain bf16. Never converted to f16 (range).
    Bf16,
    /// 4-bit codes, a scale per unit (Q4_0).
    Ga4Sym,
    /// 8-bit codes, a scale per unit (Q8_0).
    Ga8Sym,
    /// 4-bit codes, scales of scales and minima per 256 columns (Q4_K).
    Ga4K,
    /// As `Ga4K` with 5-bit codes (Q5_K).
    Ga5K,
    /// 6-bit codes, scales of scales per 256 columns (Q6_K).
    Ga6K,
    /// 4-bit codes, a scale and an offset per unit (Q4_1).
    Ga4Aff,
    /// As `Ga4Sym` with 5-bit codes (Q5_0).
    Ga5Sym,
    /// As `Ga4Aff` with 5-bit codes (Q5_1).
    Ga5Aff,
}

/// One layout.
pub(super) struct LayoutRow {
    pub layout: Layout,
    pub name: &'static str,
    /// Bits per column in `codes`, and so words per unit.
    pub code_bits: u32,
    /// Bits per column in the high plane, above those in `codes`.
    pub high_bits: u32,
    /// Words of scales, and the columns that share them.
    pub scales: (u32, u32),
    /// Rows are whole multiples of so many columns.
    pub grain: u32,
    /// What files may store that this layout keeps exactly, and what transcodes a row of it.
    pub from: &'static [(Stored, transcode::TranscodeRow)],
    /// The value of code `q` in column `c` of a row with these scale words: the definition of the layout.
    pub value: fn(q: u32, scales: &[u32], c: usize) -> f64,
    /// Fills a row's scales (of a layout without, its codes) for `c` columns whose values have this standard deviation.
    /// For tests and synthetic models, which the shipped wasm has not.
    #[cfg(not(target_arch = "wasm32"))]
    pub random: fn(row: &mut [u32], c: u32, std: f32, rng: &mut random::Random),
}

/// 4.61, 9.23, 18.47, 73.9: standard deviations of uniform codes of 4, 5, 6 and 8 bits.
pub(super) const ROWS: &[LayoutRow] = &[
    LayoutRow {
        layout: Layout::F32,
        name: "f32",
        code_bits: 32,
        high_bits: 0,
        scales: (0, 32),
        grain: 1,
        from: &[(Blocks(F32), transcode::plain)],
        value: |q, _, _| f32::from_bits(q).into(),
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, c, std, rng| random::floats(row, c, std, rng, |v| v.to_bits()),
    },
    LayoutRow {
        layout: Layout::F16,
        name: "f16",
        code_bits: 16,
        high_bits: 0,
        scales: (0, 32),
        grain: 1,
        from: &[(Blocks(F16), transcode::plain)],
        value: |q, _, _| f16::from_bits(q as u16).into(),
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, c, std, rng| random::halves(row, c, std, rng, |v| f16::from_f32(v).to_bits()),
    },
    LayoutRow {
        layout: Layout::Bf16,
        name: "bf16",
        code_bits: 16,
        high_bits: 0,
        scales: (0, 32),
        grain: 1,
        from: &[(Blocks(BF16), transcode::plain)],
        value: |q, _, _| bf16::from_bits(q as u16).into(),
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, c, std, rng| random::halves(row, c, std, rng, |v| bf16::from_f32(v).to_bits()),
    },
    LayoutRow {
        // Scales: an f16 per unit, two per word.
        layout: Layout::Ga4Sym,
        name: "ga4_sym",
        code_bits: 4,
        high_bits: 0,
        scales: (1, 64),
        grain: 32,
        from: &[(Blocks(Q4_0), transcode::q4_0)],
        value: |q, s, c| half(s, c / 32) * (f64::from(q) - 8.0),
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, c, std, rng| random::scales(row, c, std / 4.61, rng),
    },
    LayoutRow {
        // Scales: an f16 per unit, two per word. Codes are those of the file + 128.
        layout: Layout::Ga8Sym,
        name: "ga8_sym",
        code_bits: 8,
        high_bits: 0,
        scales: (1, 64),
        grain: 32,
        from: &[(Blocks(Q8_0), transcode::q8_0)],
        value: |q, s, c| half(s, c / 32) * (f64::from(q) - 128.0),
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, c, std, rng| random::scales(row, c, std / 73.9, rng),
    },
    LayoutRow {
        // Scales per 256 columns: d f16, dmin f16, scale u8 per unit, minimum u8 per unit.
        layout: Layout::Ga4K,
        name: "ga4_k",
        code_bits: 4,
        high_bits: 0,
        scales: (5, 256),
        grain: 256,
        from: &[(Blocks(Q4_K), transcode::q4_k)],
        value: affine_k,
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, _, std, rng| random::scales_k(row, 7.5, std / 4.61, rng),
    },
    LayoutRow {
        layout: Layout::Ga5K,
        name: "ga5_k",
        code_bits: 4,
        high_bits: 1,
        scales: (5, 256),
        grain: 256,
        from: &[(Blocks(Q5_K), transcode::q5_k)],
        value: affine_k,
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, _, std, rng| random::scales_k(row, 15.5, std / 9.23, rng),
    },
    LayoutRow {
        // Scales per 256 columns: d f16, two bytes unused, scale i8 per half unit.
        layout: Layout::Ga6K,
        name: "ga6_k",
        code_bits: 4,
        high_bits: 2,
        scales: (5, 256),
        grain: 256,
        from: &[(Blocks(Q6_K), transcode::q6_k)],
        value: |q, s, c| {
            let s = &s[5 * (c / 256)..];
            half(s, 0) * f64::from(byte(s, 4 + c % 256 / 16) as i8) * (f64::from(q) - 32.0)
        },
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, _, std, rng| random::scales_6k(row, std / 18.47, rng),
    },
    LayoutRow {
        // Scales per unit: scale f16, offset f16.
        layout: Layout::Ga4Aff,
        name: "ga4_aff",
        code_bits: 4,
        high_bits: 0,
        scales: (1, 32),
        grain: 32,
        from: &[(Blocks(Q4_1), transcode::q4_1)],
        value: affine,
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, _, std, rng| random::scales_aff(row, 7.5, std / 4.61, rng),
    },
    LayoutRow {
        layout: Layout::Ga5Sym,
        name: "ga5_sym",
        code_bits: 4,
        high_bits: 1,
        scales: (1, 64),
        grain: 32,
        from: &[(Blocks(Q5_0), transcode::q5_0)],
        value: |q, s, c| half(s, c / 32) * (f64::from(q) - 16.0),
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, c, std, rng| random::scales(row, c, std / 9.23, rng),
    },
    LayoutRow {
        layout: Layout::Ga5Aff,
        name: "ga5_aff",
        code_bits: 4,
        high_bits: 1,
        scales: (1, 32),
        grain: 32,
        from: &[(Blocks(Q5_1), transcode::q5_1)],
        value: affine,
        #[cfg(not(target_arch = "wasm32"))]
        random: |row, _, std, rng| random::scales_aff(row, 15.5, std / 9.23, rng),
    },
];

fn affine(q: u32, s: &[u32], c: usize) -> f64 {
    half(s, 2 * (c / 32)) * f64::from(q) + half(s, 2 * (c / 32) + 1)
}

fn affine_k(q: u32, s: &[u32], c: usize) -> f64 {
    let (s, unit) = (&s[5 * (c / 256)..], c % 256 / 32);
    let (scale, min) = (f64::from(byte(s, 4 + unit)), f64::from(byte(s, 12 + unit)));
    half(s, 0) * scale * f64::from(q) - half(s, 1) * min
}
