//! File block -> f32, one function per [`DType`]: the executable spec of the file types (weights.md A1.4).
//!
//! Naive on purpose: each function is the table row of the spec, element by element. The f32 operations and their order
//! are those of the formats' own project, so the results are equal to it bit for bit.
//! All functions expect whole blocks; `unpack` checks that.

use crate::error::{Error, Result};
use crate::formats::DType;
use half::{bf16, f16};

/// f32 values of whole blocks of `dtype`, in element order. `bad-file` when `data` ends inside a block.
pub fn unpack(dtype: DType, data: &[u8]) -> Result<Vec<f32>> {
    let (elems, bytes) = (dtype.block_elems() as usize, dtype.block_bytes() as usize);
    if !data.len().is_multiple_of(bytes) {
        return Err(Error::BadFile(format!(
            "{} bytes are not whole {} blocks of {bytes} bytes: the tensor is cut",
            data.len(),
            dtype.name()
        )));
    }
    let block: fn(&[u8], &mut [f32]) = match dtype {
        DType::F32 => |b, out| out[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        DType::F16 => |b, out| out[0] = half_at(b, 0),
        DType::BF16 => |b, out| out[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        DType::Q4_0 => q4_0,
        DType::Q4_1 => q4_1,
        DType::Q5_0 => q5_0,
        DType::Q5_1 => q5_1,
        DType::Q8_0 => q8_0,
        DType::Q4_K => q4_k,
        DType::Q5_K => q5_k,
        DType::Q6_K => q6_k,
    };
    let mut out = vec![0.0; data.len() / bytes * elems];
    for (b, o) in data.chunks_exact(bytes).zip(out.chunks_exact_mut(elems)) {
        block(b, o);
    }
    Ok(out)
}

/// The f16 at byte `o` of a block, as f32.
fn half_at(b: &[u8], o: usize) -> f32 {
    f16::from_le_bytes([b[o], b[o + 1]]).to_f32()
}

/// Q4_0: `d@0, qs[16]@2`; byte j holds element j (low nibble) and element j + 16 (high nibble).
pub fn q4_0(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for (i, o) in out.iter_mut().enumerate() {
        let nibble = (b[2 + i % 16] >> (4 * (i / 16))) & 15;
        *o = d * (f32::from(nibble) - 8.0);
    }
}

/// Q4_1: `d@0, m@2, qs[16]@4`; nibbles as in Q4_0.
pub fn q4_1(b: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for (i, o) in out.iter_mut().enumerate() {
        *o = d * f32::from((b[4 + i % 16] >> (4 * (i / 16))) & 15) + m;
    }
}

/// Q5_0: `d@0, qh u32@2, qs[16]@6`; bit i of qh is the fifth bit of element i, nibbles as in Q4_0.
pub fn q5_0(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for (i, o) in out.iter_mut().enumerate() {
        let (low, high) = ((b[6 + i % 16] >> (4 * (i / 16))) & 15, (b[2 + i / 8] >> (i % 8)) & 1);
        *o = d * (f32::from(low | high << 4) - 16.0);
    }
}

/// Q5_1: `d@0, m@2, qh u32@4, qs[16]@8`; bits as in Q5_0.
pub fn q5_1(b: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for (i, o) in out.iter_mut().enumerate() {
        let (low, high) = ((b[8 + i % 16] >> (4 * (i / 16))) & 15, (b[4 + i / 8] >> (i % 8)) & 1);
        *o = d * f32::from(low | high << 4) + m;
    }
}

/// Q8_0: `d@0, qs i8[32]@2`.
pub fn q8_0(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for (i, o) in out.iter_mut().enumerate() {
        *o = d * f32::from(b[2 + i] as i8);
    }
}

/// The 6-bit scale and minimum of sub-block `j` (of 8) from the 12 packed bytes of Q4_K and Q5_K.
pub fn k4(s: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        (s[j] & 63, s[j + 4] & 63)
    } else {
        ((s[j + 4] & 15) | (s[j - 4] >> 6 << 4), (s[j + 4] >> 4) | (s[j] >> 6 << 4))
    }
}

/// Q4_K: `d@0, dmin@2, scales[12]@4, qs[128]@16`.
pub fn q4_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    for (i, o) in out.iter_mut().enumerate() {
        let (scale, min) = k4(&b[4..16], i / 32);
        let q = (b[16 + 32 * (i / 64) + i % 32] >> (4 * ((i % 64) / 32))) & 15;
        *o = (d * f32::from(scale)) * f32::from(q) - dmin * f32::from(min);
    }
}

/// Q5_K: `d@0, dmin@2, scales[12]@4, qh[32]@16, qs[128]@48`.
pub fn q5_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    for (i, o) in out.iter_mut().enumerate() {
        let (scale, min) = k4(&b[4..16], i / 32);
        let low = (b[48 + 32 * (i / 64) + i % 32] >> (4 * ((i % 64) / 32))) & 15;
        let high = (b[16 + i % 32] >> (i / 32)) & 1;
        *o = (d * f32::from(scale)) * f32::from(low | high << 4) - dmin * f32::from(min);
    }
}

/// Q6_K: `ql[128]@0, qh[64]@128, scales i8[16]@192, d@208`.
pub fn q6_k(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 208);
    for (i, o) in out.iter_mut().enumerate() {
        let (half, r) = (i / 128, i % 128);
        let low = (b[64 * half + r % 64] >> (4 * (r / 64))) & 15;
        let high = (b[128 + 32 * half + r % 32] >> (2 * (r / 32))) & 3;
        let scale = f32::from(b[192 + i / 16] as i8);
        *o = (d * scale) * (f32::from(low | high << 4) - 32.0);
    }
}
