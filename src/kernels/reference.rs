//! What the references of several kernels share.

use super::{KvType, Slot, Variant};
pub use crate::weights::decode::row;
use half::f16;

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

/// A slice as f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
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
