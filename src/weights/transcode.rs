//! File rows -> rows of a device layout, without loss: one function per way to store them.
//!
//! A plane of `p` bits is built four bytes at a time: four consecutive file bytes carry four consecutive elements in
//! every type here, and lane order keeps four consecutive elements in four bytes, so a shift and a mask move them.

use super::{Layout, unpack};
use crate::error::{Error, Result};
use crate::formats::Stored;

/// Whole rows in a device layout: three arrays of words, each row-major (see the module docs of `weights`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// `rows * layout.row_code_words(cols)` words.
    pub codes: Vec<u32>,
    /// `rows * layout.row_high_words(cols)` words.
    pub high: Vec<u32>,
    /// `rows * layout.scale_words(cols)` words.
    pub scales: Vec<u32>,
}

impl Rows {
    /// All-zero words for `rows` rows.
    pub fn zeroed(layout: Layout, rows: usize, cols: u32) -> Rows {
        Rows {
            codes: vec![0; rows * layout.row_code_words(cols) as usize],
            high: vec![0; rows * layout.row_high_words(cols) as usize],
            scales: vec![0; rows * layout.scale_words(cols) as usize],
        }
    }
}

/// One row of [`Rows`].
pub(super) struct RowMut<'a> {
    pub codes: &'a mut [u32],
    pub high: &'a mut [u32],
    pub scales: &'a mut [u32],
}

/// Transcodes one row: its bytes in each tensor of the weight, whole blocks -> zeroed words.
pub(super) type TranscodeRow = fn(&[&[u8]], RowMut<'_>);

/// Transcodes whole rows of `cols` columns into [`Layout::of`] what is stored; `data` are their bytes in each tensor of
/// the weight. `bad-file` when these are not whole rows, or not of equally many.
pub fn rows(stored: Stored, cols: u32, data: &[&[u8]]) -> Result<Rows> {
    let (layout, transcode) = Layout::and_transcode(stored);
    let row_bytes = stored.row_bytes(u64::from(cols)).unwrap_or_default();
    let n = data.first().zip(row_bytes.first()).map_or(0, |(d, bytes)| d.len() as u64 / bytes);
    let whole = |(d, bytes): (&&[u8], &u64)| d.len() as u64 == n * bytes;
    if row_bytes.is_empty() || data.len() != row_bytes.len() || !data.iter().zip(&row_bytes).all(whole) {
        return Err(Error::BadFile(format!(
            "{:?} bytes are not whole rows of {cols} columns of {}: expected multiples of {row_bytes:?} bytes, or of \
             nothing where such a row is not whole blocks",
            data.iter().map(|d| d.len()).collect::<Vec<_>>(),
            stored.name()
        )));
    }
    let mut out = Rows::zeroed(layout, n as usize, cols);
    let code_words = layout.row_code_words(cols) as usize;
    let high_words = layout.row_high_words(cols) as usize;
    let scale_words = layout.scale_words(cols) as usize;
    let mut row = Vec::with_capacity(data.len());
    for r in 0..n as usize {
        row.clear();
        row.extend(data.iter().zip(&row_bytes).map(|(d, bytes)| &d[r * *bytes as usize..][..*bytes as usize]));
        let words = RowMut {
            codes: &mut out.codes[r * code_words..][..code_words],
            high: &mut out.high[r * high_words..][..high_words],
            scales: &mut out.scales[r * scale_words..][..scale_words],
        };
        transcode(&row, words);
    }
    Ok(out)
}

/// f32 values of a vector (a norm, a bias), given its bytes in each tensor. `bad-file` when they end inside a block.
pub fn to_f32(stored: Stored, data: &[&[u8]]) -> Result<Vec<f32>> {
    match (stored, data) {
        (Stored::Blocks(dtype), [data]) => unpack::unpack(dtype, data),
        _ => Err(Error::BadFile(format!(
            "a vector stored as {} has {} tensors instead of one",
            stored.name(),
            data.len()
        ))),
    }
}

/// Four bytes at `o` as a word: byte k in bits 8k.
fn word(b: &[u8], o: usize) -> u32 {
    u32::from_le_bytes([b[o], b[o + 1], b[o + 2], b[o + 3]])
}

/// The u16 at byte `o`.
fn half_word(b: &[u8], o: usize) -> u32 {
    u32::from(u16::from_le_bytes([b[o], b[o + 1]]))
}

/// The 4-bit plane of one unit: the nibbles at `shift` (0 or 4) of 32 consecutive bytes.
fn nibble_plane(bytes: &[u8], shift: u32, out: &mut [u32]) {
    const M: u32 = 0x0F0F_0F0F;
    for (w, o) in out.iter_mut().enumerate() {
        *o = (word(bytes, 8 * w) >> shift & M) | (word(bytes, 8 * w + 4) >> shift & M) << 4;
    }
}

/// Two f16 in a word, unit `u` of a row with one f16 per unit.
fn push_half(scales: &mut [u32], u: usize, half: u32) {
    scales[u / 2] |= half << (16 * (u % 2));
}

/// The 4-bit plane of a unit of Q4_0, Q4_1, Q5_0 or Q5_1: low nibbles are columns 0..16, high nibbles columns 16..32.
fn split_nibble_plane(bytes: &[u8], out: &mut [u32]) {
    const M: u32 = 0x0F0F_0F0F;
    for w in 0..2 {
        let (x, y) = (word(bytes, 8 * w), word(bytes, 8 * w + 4));
        out[w] = (x & M) | (y & M) << 4;
        out[2 + w] = (x >> 4 & M) | (y & !M);
    }
}

/// The 1-bit plane of a unit of Q5_0 or Q5_1: bit i is column i. The product moves bit k of four to bit 8k.
fn bit_plane(bits: u32) -> u32 {
    (0..8).fold(0, |plane, t| plane | (((bits >> (4 * t) & 15) * 0x0020_4081) & 0x0101_0101) << t)
}

/// Plain floats: little-endian words, in the file as on every target of this crate.
pub(super) fn plain(data: &[&[u8]], row: RowMut<'_>) {
    bytemuck::cast_slice_mut(row.codes)[..data[0].len()].copy_from_slice(data[0]);
}

pub(super) fn q4_0(data: &[&[u8]], row: RowMut<'_>) {
    for (u, b) in data[0].chunks_exact(18).enumerate() {
        push_half(row.scales, u, half_word(b, 0));
        split_nibble_plane(&b[2..], &mut row.codes[4 * u..]);
    }
}

pub(super) fn q4_1(data: &[&[u8]], row: RowMut<'_>) {
    for (u, b) in data[0].chunks_exact(20).enumerate() {
        row.scales[u] = word(b, 0);
        split_nibble_plane(&b[4..], &mut row.codes[4 * u..]);
    }
}

pub(super) fn q5_0(data: &[&[u8]], row: RowMut<'_>) {
    for (u, b) in data[0].chunks_exact(22).enumerate() {
        push_half(row.scales, u, half_word(b, 0));
        row.high[u] = bit_plane(word(b, 2));
        split_nibble_plane(&b[6..], &mut row.codes[4 * u..]);
    }
}

pub(super) fn q5_1(data: &[&[u8]], row: RowMut<'_>) {
    for (u, b) in data[0].chunks_exact(24).enumerate() {
        row.scales[u] = word(b, 0);
        row.high[u] = bit_plane(word(b, 4));
        split_nibble_plane(&b[8..], &mut row.codes[4 * u..]);
    }
}

pub(super) fn q8_0(data: &[&[u8]], row: RowMut<'_>) {
    for (u, b) in data[0].chunks_exact(34).enumerate() {
        push_half(row.scales, u, half_word(b, 0));
        for w in 0..8 {
            row.codes[8 * u + w] = word(b, 2 + 4 * w) ^ 0x8080_8080;
        }
    }
}

/// d, dmin and the 8 scales and minima of Q4_K and Q5_K, widened to bytes.
fn scales_k(b: &[u8], out: &mut [u32]) {
    out[0] = word(b, 0);
    for j in 0..8 {
        let (scale, min) = unpack::k4(&b[4..16], j);
        out[1 + j / 4] |= u32::from(scale) << (8 * (j % 4));
        out[3 + j / 4] |= u32::from(min) << (8 * (j % 4));
    }
}

pub(super) fn q4_k(data: &[&[u8]], row: RowMut<'_>) {
    for (s, b) in data[0].chunks_exact(144).enumerate() {
        scales_k(b, &mut row.scales[5 * s..5 * s + 5]);
        for u in 0..8 {
            nibble_plane(&b[16 + 32 * (u / 2)..][..32], 4 * (u as u32 % 2), &mut row.codes[4 * (8 * s + u)..][..4]);
        }
    }
}

pub(super) fn q5_k(data: &[&[u8]], row: RowMut<'_>) {
    for (s, b) in data[0].chunks_exact(176).enumerate() {
        scales_k(b, &mut row.scales[5 * s..5 * s + 5]);
        for u in 0..8 {
            nibble_plane(&b[48 + 32 * (u / 2)..][..32], 4 * (u as u32 % 2), &mut row.codes[4 * (8 * s + u)..][..4]);
            let h = &mut row.high[8 * s + u];
            for t in 0..8 {
                *h |= (word(b, 16 + 4 * t) >> u & 0x0101_0101) << t;
            }
        }
    }
}

pub(super) fn q6_k(data: &[&[u8]], row: RowMut<'_>) {
    for (s, b) in data[0].chunks_exact(210).enumerate() {
        let scales = &mut row.scales[5 * s..5 * s + 5];
        scales[0] = half_word(b, 208);
        for (k, m) in scales[1..].iter_mut().enumerate() {
            *m = word(b, 192 + 4 * k);
        }
        for u in 0..8 {
            let (half, quarter) = (u / 4, u % 4);
            let low = &b[64 * half + 32 * (quarter % 2)..][..32];
            nibble_plane(low, 4 * (quarter as u32 / 2), &mut row.codes[4 * (8 * s + u)..][..4]);
            for v in 0..2 {
                let h = &mut row.high[2 * (8 * s + u) + v];
                for t in 0..4 {
                    *h |= (word(b, 128 + 32 * half + 16 * v + 4 * t) >> (2 * quarter) & 0x0303_0303) << (2 * t);
                }
            }
        }
    }
}
