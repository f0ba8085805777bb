//! File rows -> rows of a device layout, without loss, and the naive way back.
//!
//! A plane of `p` bits is built four bytes at a time: four consecutive file bytes carry four consecutive elements in
//! every type here, and lane order keeps four consecutive elements in four bytes, so a shift and a mask move them.

use super::{Layout, UNIT, units, unpack};
use crate::error::{Error, Result};
use crate::formats::DType;
use half::{bf16, f16};

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

/// Transcodes whole file rows of `cols` columns. `layout` is [`Layout::of`] the type, or `F32`, which holds every type
/// exactly; any other pair would round and is `bad-request`. `bad-file` when `data` is not whole rows.
pub fn rows(dtype: DType, layout: Layout, cols: u32, data: &[u8]) -> Result<Rows> {
    if layout != Layout::of(dtype) && layout != Layout::F32 {
        return Err(Error::BadRequest(format!(
            "{} cannot be stored as {} without loss; use {} or f32",
            dtype.name(),
            layout.name(),
            Layout::of(dtype).name()
        )));
    }
    let (elems, bytes) = (dtype.block_elems() as usize, dtype.block_bytes() as usize);
    let columns = cols as usize;
    let row_bytes = columns / elems * bytes;
    if columns == 0 || !columns.is_multiple_of(elems) || !data.len().is_multiple_of(row_bytes) {
        return Err(Error::BadFile(format!(
            "{} bytes are not whole rows of {cols} columns of {}: a row is whole blocks of {elems} columns and {bytes} bytes",
            data.len(),
            dtype.name()
        )));
    }
    let n = data.len() / row_bytes;
    let mut out = Rows::zeroed(layout, n, cols);
    if layout == Layout::F32 && dtype != DType::F32 {
        let values = unpack::unpack(dtype, data)?;
        let row_words = layout.row_code_words(cols) as usize;
        for (row, words) in values.chunks_exact(columns).zip(out.codes.chunks_exact_mut(row_words)) {
            words[..columns].copy_from_slice(bytemuck::cast_slice(row));
        }
        return Ok(out);
    }
    let mut blocks = data.chunks_exact(row_bytes);
    let code_words = layout.row_code_words(cols) as usize;
    let high_words = layout.row_high_words(cols) as usize;
    let scale_words = layout.scale_words(cols) as usize;
    for r in 0..n {
        let row = blocks.next().unwrap_or_default();
        let codes = &mut out.codes[r * code_words..][..code_words];
        let high = &mut out.high[r * high_words..][..high_words];
        let scales = &mut out.scales[r * scale_words..][..scale_words];
        match dtype {
            // Little-endian words, in the file as on every target of this crate.
            DType::F32 | DType::F16 | DType::BF16 => bytemuck::cast_slice_mut(codes)[..row_bytes].copy_from_slice(row),
            DType::Q4_0 => row_q4_0(row, codes, scales),
            DType::Q8_0 => row_q8_0(row, codes, scales),
            DType::Q4_K => row_q4_k(row, codes, scales),
            DType::Q5_K => row_q5_k(row, codes, high, scales),
            DType::Q6_K => row_q6_k(row, codes, high, scales),
        }
    }
    Ok(out)
}

/// f32 values of whole blocks: norms, biases and everything else that is small. `bad-file` when the data ends inside
/// a block.
pub fn to_f32(dtype: DType, data: &[u8]) -> Result<Vec<f32>> {
    unpack::unpack(dtype, data)
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

fn row_q4_0(row: &[u8], codes: &mut [u32], scales: &mut [u32]) {
    const M: u32 = 0x0F0F_0F0F;
    for (u, b) in row.chunks_exact(18).enumerate() {
        scales[u / 2] |= half_word(b, 0) << (16 * (u % 2));
        // Low nibbles are columns 0..16 of the block, high nibbles columns 16..32.
        for w in 0..2 {
            let (x, y) = (word(b, 2 + 8 * w), word(b, 6 + 8 * w));
            codes[4 * u + w] = (x & M) | (y & M) << 4;
            codes[4 * u + 2 + w] = (x >> 4 & M) | (y & !M);
        }
    }
}

fn row_q8_0(row: &[u8], codes: &mut [u32], scales: &mut [u32]) {
    for (u, b) in row.chunks_exact(34).enumerate() {
        scales[u / 2] |= half_word(b, 0) << (16 * (u % 2));
        for w in 0..8 {
            codes[8 * u + w] = word(b, 2 + 4 * w) ^ 0x8080_8080;
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

fn row_q4_k(row: &[u8], codes: &mut [u32], scales: &mut [u32]) {
    for (s, b) in row.chunks_exact(144).enumerate() {
        scales_k(b, &mut scales[5 * s..5 * s + 5]);
        for u in 0..8 {
            nibble_plane(&b[16 + 32 * (u / 2)..][..32], 4 * (u as u32 % 2), &mut codes[4 * (8 * s + u)..][..4]);
        }
    }
}

fn row_q5_k(row: &[u8], codes: &mut [u32], high: &mut [u32], scales: &mut [u32]) {
    for (s, b) in row.chunks_exact(176).enumerate() {
        scales_k(b, &mut scales[5 * s..5 * s + 5]);
        for u in 0..8 {
            nibble_plane(&b[48 + 32 * (u / 2)..][..32], 4 * (u as u32 % 2), &mut codes[4 * (8 * s + u)..][..4]);
            let h = &mut high[8 * s + u];
            for t in 0..8 {
                *h |= (word(b, 16 + 4 * t) >> u & 0x0101_0101) << t;
            }
        }
    }
}

fn row_q6_k(row: &[u8], codes: &mut [u32], high: &mut [u32], scales: &mut [u32]) {
    for (s, b) in row.chunks_exact(210).enumerate() {
        let meta = &mut scales[5 * s..5 * s + 5];
        meta[0] = half_word(b, 208);
        for (k, m) in meta[1..].iter_mut().enumerate() {
            *m = word(b, 192 + 4 * k);
        }
        for u in 0..8 {
            let (half, quarter) = (u / 4, u % 4);
            let low = &b[64 * half + 32 * (quarter % 2)..][..32];
            nibble_plane(low, 4 * (quarter as u32 / 2), &mut codes[4 * (8 * s + u)..][..4]);
            for v in 0..2 {
                let h = &mut high[2 * (8 * s + u) + v];
                for t in 0..4 {
                    *h |= (word(b, 128 + 32 * half + 16 * v + 4 * t) >> (2 * quarter) & 0x0303_0303) << (2 * t);
                }
            }
        }
    }
}

/// Values `[rows, cols]` of rows in a device layout: the naive reference of every kernel that reads a matrix.
/// Written from the layout table alone, element by element, so that it checks `rows` and not only mirrors it.
pub fn layout_to_f32(layout: Layout, cols: u32, rows: &Rows) -> Vec<f32> {
    let (code_words, high_words) = (layout.code_words() as usize, layout.high_words() as usize);
    let (row_units, scale_words) = (units(cols) as usize, layout.scale_words(cols) as usize);
    let n = rows.codes.len().checked_div(layout.row_code_words(cols) as usize).unwrap_or(0);
    let mut out = Vec::with_capacity(n * cols as usize);
    for r in 0..n {
        let scales = &rows.scales[r * scale_words..][..scale_words];
        for c in 0..cols as usize {
            let (unit, e) = (c / UNIT as usize, c % UNIT as usize);
            let codes = &rows.codes[(r * row_units + unit) * code_words..][..code_words];
            let high = rows.high.get((r * row_units + unit) * high_words..).unwrap_or_default();
            out.push(match layout {
                Layout::F32 => f32::from_bits(codes[e]),
                Layout::F16 => f16::from_bits(half_of(codes[e / 2], e)).to_f32(),
                Layout::Bf16 => bf16::from_bits(half_of(codes[e / 2], e)).to_f32(),
                Layout::Ga4Sym => scale_16(scales[unit / 2], unit) * (code(codes, 4, e) as f32 - 8.0),
                Layout::Ga8Sym => scale_16(scales[unit / 2], unit) * (code(codes, 8, e) as f32 - 128.0),
                Layout::Ga4K => affine_k(scales, c, code(codes, 4, e)),
                Layout::Ga5K => affine_k(scales, c, code(codes, 4, e) | code(high, 1, e) << 4),
                Layout::Ga6K => {
                    let s = &scales[5 * (c / 256)..][..5];
                    let scale = byte(&s[1..], c % 256 / 16) as u8 as i8;
                    let q = code(codes, 4, e) | code(high, 2, e) << 4;
                    (scale_16(s[0], 0) * f32::from(scale)) * (q as f32 - 32.0)
                }
            });
        }
    }
    out
}

/// Half `i % 2` of a word.
fn half_of(word: u32, i: usize) -> u16 {
    (word >> (16 * (i % 2))) as u16
}

/// Half `i % 2` of a word, an f16, as f32.
fn scale_16(word: u32, i: usize) -> f32 {
    f16::from_bits(half_of(word, i)).to_f32()
}

/// Byte `i` of an array of words.
fn byte(words: &[u32], i: usize) -> u32 {
    words[i / 4] >> (8 * (i % 4)) & 0xFF
}

/// Element `e` of a plane of `p` bits in lane order.
fn code(plane: &[u32], p: usize, e: usize) -> u32 {
    let (w, e) = (plane[e * p / 32], e % (32 / p));
    w >> (8 * (e % 4) + p * (e / 4)) & ((1 << p) - 1)
}

/// Value of code `q` in column `c` of a row with K scales.
fn affine_k(scales: &[u32], c: usize, q: u32) -> f32 {
    let s = &scales[5 * (c / 256)..][..5];
    let u = c % 256 / 32;
    let (d, dmin) = (scale_16(s[0], 0), scale_16(s[0], 1));
    (d * byte(&s[1..], u) as f32) * q as f32 - dmin * byte(&s[3..], u) as f32
}
