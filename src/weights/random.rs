//! Random weights in a device layout, for `bench --synthetic` and for kernel tests: real value ranges, no files.

use super::transcode::Rows;
use super::{Layout, units};
use half::f16;

/// SplitMix64: small, fast, and the same numbers on every target.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `-1.0..1.0`.
    pub fn signed(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Uniform in `0..n` (n > 0; the bias of the modulo does not matter here).
    pub fn below(&mut self, n: u32) -> u32 {
        ((self.next_u64() >> 32) % u64::from(n)) as u32
    }
}

/// Random rows whose values have a standard deviation of about `1 / sqrt(cols)`, so that activations keep their size
/// through a stack of layers. Codes are uniform, scales and their signs vary, the codes of padding columns are zero.
pub fn random_rows(layout: Layout, rows: u32, cols: u32, seed: u64) -> Rows {
    let mut rng = Random::new(seed);
    let mut out = Rows::zeroed(layout, rows as usize, cols);
    let std = 1.0 / (cols.max(1) as f32).sqrt();
    let (row_codes, row_scales) = (layout.row_code_words(cols) as usize, layout.scale_words(cols) as usize);
    let fill = |words: &mut [u32], row_words: usize, rng: &mut Random| {
        words.chunks_exact_mut(row_words.max(1)).for_each(|row| (layout.row().random)(row, cols, std, rng));
    };
    if row_scales == 0 {
        fill(&mut out.codes, row_codes, &mut rng);
        return out;
    }
    for w in out.codes.iter_mut().chain(out.high.iter_mut()) {
        *w = rng.next_u64() as u32;
    }
    clear_padding(layout, cols, &mut out);
    fill(&mut out.scales, row_scales, &mut rng);
    out
}

/// Plain values in words.
pub(super) fn floats(row: &mut [u32], cols: u32, std: f32, rng: &mut Random, bits: fn(f32) -> u32) {
    for w in &mut row[..cols as usize] {
        // A uniform variable in -a..a has the standard deviation a / sqrt(3).
        *w = bits(std * 3.0_f32.sqrt() * rng.signed());
    }
}

/// Plain values in halves of words.
pub(super) fn halves(row: &mut [u32], cols: u32, std: f32, rng: &mut Random, bits: fn(f32) -> u16) {
    for c in 0..cols as usize {
        row[c / 2] |= u32::from(bits(std * 3.0_f32.sqrt() * rng.signed())) << (16 * (c % 2));
    }
}

/// Zeroes the codes of the columns beyond `cols` in the last unit of each row.
fn clear_padding(layout: Layout, cols: u32, out: &mut Rows) {
    let units = units(cols);
    let clear = |plane: &mut [u32], unit_words: u32, bits: u32| {
        for row in plane.chunks_exact_mut(((units * unit_words) as usize).max(1)) {
            for c in cols..units * super::UNIT {
                let (e, per) = (c % super::UNIT, 32 / bits);
                let w = (c / super::UNIT) * unit_words + e / per;
                let e = e % per;
                row[w as usize] &= !(((1 << bits) - 1) << (8 * (e & 3) + bits * (e >> 2)));
            }
        }
    };
    if layout.high_words() > 0 {
        clear(&mut out.high, layout.high_words(), layout.high_words());
    }
    clear(&mut out.codes, layout.code_words(), layout.code_words());
}

/// `s` times 0.75..1.25 with a random sign, as f16 bits.
fn jitter(s: f32, rng: &mut Random) -> u32 {
    let v = s * (1.0 + 0.25 * rng.signed());
    u32::from(f16::from_f32(if rng.below(2) == 0 { v } else { -v }).to_bits())
}

/// An f16 per unit.
pub(super) fn scales(row: &mut [u32], cols: u32, s: f32, rng: &mut Random) {
    for u in 0..units(cols) {
        row[u as usize / 2] |= jitter(s, rng) << (16 * (u % 2));
    }
}

/// A scale and an offset per unit, which takes about the mean `centre` of the codes away again.
pub(super) fn scales_aff(row: &mut [u32], centre: f32, s: f32, rng: &mut Random) {
    for w in row {
        let scale = jitter(s, rng);
        let offset = -f16::from_bits(scale as u16).to_f32() * centre * (1.0 + 0.05 * rng.signed());
        *w = scale | u32::from(f16::from_f32(offset).to_bits()) << 16;
    }
}

/// d and dmin such that the minimum takes about the mean `centre` of the codes away again.
pub(super) fn scales_k(row: &mut [u32], centre: f32, s: f32, rng: &mut Random) {
    for block in row.chunks_exact_mut(5) {
        // 45: root mean square of the 6-bit scales 24..=63.
        let d = s / 45.0 * (1.0 + 0.25 * rng.signed());
        block[0] = u32::from(f16::from_f32(d).to_bits()) | u32::from(f16::from_f32(d * centre).to_bits()) << 16;
        for j in 0..8 {
            let scale = 24 + rng.below(40);
            let min = (scale + rng.below(5)).saturating_sub(2).min(63);
            block[1 + j / 4] |= scale << (8 * (j % 4));
            block[3 + j / 4] |= min << (8 * (j % 4));
        }
    }
}

/// d and 16 scales of either sign.
pub(super) fn scales_6k(row: &mut [u32], s: f32, rng: &mut Random) {
    for block in row.chunks_exact_mut(5) {
        // 75.5: root mean square of the scales below.
        block[0] = jitter(s / 75.5, rng);
        for j in 0..16 {
            let scale = 16 + rng.below(112) as i32;
            let scale = if rng.below(2) == 0 { scale } else { -scale };
            block[1 + j / 4] |= (scale as u32 & 0xFF) << (8 * (j % 4));
        }
    }
}
