//! Element-by-element decoding of the device layouts, for references: written from the module docs of `weights` and
//! sharing nothing with the shaders or with `transcode`.

use super::{KvType, Slot, Variant};
use crate::weights::{Layout, units};
use half::{bf16, f16};

/// Element (r, c) of a matrix part of `rows` rows: `codes` and `meta` as the shader sees them.
pub fn weight(layout: Layout, codes: &[u32], meta: &[u32], rows: u32, cols: u32, r: u32, c: u32) -> f64 {
    let (unit, e) = (c / 32, c % 32);
    let row_codes = &codes[(r * layout.row_code_words(cols)) as usize..];
    let unit_codes = &row_codes[(unit * layout.code_words()) as usize..];
    let half = |w: u32, i: u32| f64::from(f16::from_bits((w >> (16 * i)) as u16));
    let byte = |w: u32, i: u32| w >> (8 * (i % 4)) & 0xFF;
    // Plane order: a word holds 32/p elements, four consecutive ones in the same bits of its four bytes.
    let plane = |words: &[u32], p: u32| {
        let per = 32 / p;
        let (w, e) = (words[(e / per) as usize], e % per);
        (w >> (8 * (e & 3) + p * (e >> 2))) & ((1u32 << p) - 1)
    };
    let high_words = layout.high_words();
    let high = || {
        let at = ((r * units(cols) + unit) * high_words) as usize;
        plane(&meta[at..at + high_words as usize], high_words)
    };
    let scales = (rows * units(cols) * high_words + r * layout.scale_words(cols)) as usize;
    let block = scales + (c / 256 * 5) as usize;
    match layout {
        Layout::F32 => f64::from(f32::from_bits(unit_codes[e as usize])),
        Layout::F16 => half(unit_codes[e as usize / 2], e % 2),
        Layout::Bf16 => f64::from(bf16::from_bits((unit_codes[e as usize / 2] >> (16 * (e % 2))) as u16)),
        Layout::Ga4Sym => half(meta[scales + unit as usize / 2], unit % 2) * (f64::from(plane(unit_codes, 4)) - 8.0),
        Layout::Ga8Sym => half(meta[scales + unit as usize / 2], unit % 2) * (f64::from(plane(unit_codes, 8)) - 128.0),
        Layout::Ga4K | Layout::Ga5K => {
            let u = unit % 8;
            let q = plane(unit_codes, 4) + if layout == Layout::Ga5K { high() << 4 } else { 0 };
            let sc = byte(meta[block + 1 + u as usize / 4], u);
            let mn = byte(meta[block + 3 + u as usize / 4], u);
            half(meta[block], 0) * f64::from(sc) * f64::from(q) - half(meta[block], 1) * f64::from(mn)
        }
        Layout::Ga6K => {
            let h = c % 256 / 16;
            let q = plane(unit_codes, 4) + (high() << 4);
            let sc = byte(meta[block + 1 + h as usize / 4], h) as u8 as i8;
            half(meta[block], 0) * f64::from(sc) * (f64::from(q) - 32.0)
        }
    }
}

/// Row r of a matrix part.
pub fn row(layout: Layout, codes: &[u32], meta: &[u32], rows: u32, cols: u32, r: u32) -> Vec<f64> {
    (0..cols).map(|c| weight(layout, codes, meta, rows, cols, r, c)).collect()
}

/// Dot product in f64.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// RMSNorm(x) * weight.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f64> {
    let mean = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len() as f64;
    let inverse = 1.0 / (mean + f64::from(eps)).sqrt();
    x.iter().zip(weight).map(|(v, w)| f64::from(*v) * inverse * f64::from(*w)).collect()
}

/// RMSNorm of `x` in place, times `weight`.
pub fn normalise(x: &mut [f64], weight: &[f32], eps: f32) {
    let mean = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
    let inverse = 1.0 / (mean + f64::from(eps)).sqrt();
    x.iter_mut().zip(weight).for_each(|(v, w)| *v *= inverse * f64::from(*w));
}

/// Stores `values` at element `start` (even, as their number is) of a KV cache; `KV_F32` says of what type it is.
pub fn store_cache(cache: &mut Slot<'_>, variant: &Variant, start: usize, values: &[f64]) {
    if variant.has("KV_F32") {
        for (out, value) in cache.f32s_mut()[start..].iter_mut().zip(values) {
            *out = *value as f32;
        }
        return;
    }
    for (out, pair) in cache.words_mut()[start / 2..].iter_mut().zip(values.chunks_exact(2)) {
        *out = pack_f16(pair[0], pair[1]);
    }
}

/// Two f16 in a word, the first in the low half; beyond the range of f16 the largest of its sign.
pub fn pack_f16(lo: f64, hi: f64) -> u32 {
    let bits = |x: f64| u32::from(f16::from_f64(x.clamp(-65504.0, 65504.0)).to_bits());
    bits(lo) | bits(hi) << 16
}

/// Element `i` of a KV cache.
pub fn cache_value(words: &[u32], kv_type: KvType, i: usize) -> f64 {
    match kv_type {
        KvType::F32 => f32::from_bits(words[i]).into(),
        KvType::F16 => f16::from_bits((words[i / 2] >> (16 * (i % 2))) as u16).into(),
    }
}

/// A slice as f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}
