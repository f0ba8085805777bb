//! The naive decoder of the device layouts, element by element in f64: the reference of every kernel that reads a matrix.
//! Written from the module docs of `weights` and the layout table alone, so that it checks `transcode` and the shaders
//! and mirrors neither.

use super::{Layout, UNIT, units};
use half::f16;

/// Element (r, c) of a matrix part of `rows` rows: `codes` and `meta` as a shader sees them.
pub fn weight(layout: Layout, codes: &[u32], meta: &[u32], rows: u32, cols: u32, r: u32, c: u32) -> f64 {
    let unit = (r * units(cols) + c / UNIT) as usize;
    let e = (c % UNIT) as usize;
    let (code_bits, high_bits) = (layout.code_words() as usize, layout.high_words() as usize);
    let mut q = code(&codes[unit * code_bits..], code_bits, e);
    if high_bits > 0 {
        q |= code(&meta[unit * high_bits..], high_bits, e) << code_bits;
    }
    let scales = rows * layout.row_high_words(cols) + r * layout.scale_words(cols);
    (layout.row().value)(q, &meta[scales as usize..], c as usize)
}

/// Row r of a matrix part.
pub fn row(layout: Layout, codes: &[u32], meta: &[u32], rows: u32, cols: u32, r: u32) -> Vec<f64> {
    (0..cols).map(|c| weight(layout, codes, meta, rows, cols, r, c)).collect()
}

/// Element `e` of a plane of `p` bits.
fn code(plane: &[u32], p: usize, e: usize) -> u32 {
    let per_word = 32 / p;
    let (w, e) = (plane[e / per_word], e % per_word);
    let shift = if p < 16 { 8 * (e % 4) + p * (e / 4) } else { p * e };
    w >> shift & (u32::MAX >> (32 - p))
}

/// Half `i` of an array of words, an f16.
pub(super) fn half(words: &[u32], i: usize) -> f64 {
    f16::from_bits((words[i / 2] >> (16 * (i % 2))) as u16).into()
}

/// Byte `i` of an array of words.
pub(super) fn byte(words: &[u32], i: usize) -> u8 {
    (words[i / 4] >> (8 * (i % 4))) as u8
}
