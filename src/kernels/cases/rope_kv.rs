//! Test cases of rope and the write to the cache.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of};
use crate::kernels::rope_kv::{Args, step};
use crate::kernels::{Caps, KvType, Variant};

/// Rotations of all, some, an odd half and none of the dimensions.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    // n_heads, n_kv_heads, head_dim, n_rot, position, tokens, bucket
    let shapes = [
        (2, 1, 8, 8, 0, 1, 1),
        (3, 1, 12, 6, 5, 2, 4), // an odd number of pairs: halves of a pair lie in different halves of words
        (4, 2, 16, 0, 3, 3, 4), // no rope
        (9, 3, 64, 64, 63, 3, 4),
        (4, 2, 80, 32, 64, 5, 8),
        (2, 1, 256, 256, 300, 2, 2),
    ];
    let mut cases = Vec::new();
    for (kv_type, qk_norm) in [(KvType::F16, false), (KvType::F32, false), (KvType::F16, true), (KvType::F32, true)] {
        for (n_heads, n_kv_heads, head_dim, n_rot, position, tokens, bucket) in shapes {
            let shape = Shape { n_heads, n_kv_heads, head_dim, n_rot, qk_norm, position, tokens, bucket, kv_type };
            cases.push(shape.case(caps));
        }
    }
    cases
}

pub(super) fn for_variant(variant: &Variant) -> Case {
    let kv_type = KvType::of(variant);
    let (head_dim, n_rot) = (variant.get("HEAD_DIM"), variant.get("N_ROT"));
    let (n_heads, n_kv_heads, position, tokens, bucket) = (6, 2, 5, 3, 4);
    let qk_norm = variant.has("QK_NORM");
    let shape = Shape { n_heads, n_kv_heads, head_dim, n_rot, qk_norm, position, tokens, bucket, kv_type };
    shape.case(&caps_of(variant))
}

struct Shape {
    n_heads: u32,
    n_kv_heads: u32,
    head_dim: u32,
    n_rot: u32,
    qk_norm: bool,
    position: u32,
    tokens: u32,
    bucket: u32,
    kv_type: KvType,
}

impl Shape {
    fn case(self, caps: &Caps) -> Case {
        let Shape { n_heads, n_kv_heads, head_dim, n_rot, qk_norm, position, tokens, bucket, kv_type } = self;
        let mut f = Fixture::default();
        let mut rng = Rng::new(u64::from(head_dim));
        let (row, capacity) = (position + 3, position + 3 + tokens);
        let stride = (n_heads + 2 * n_kv_heads) * head_dim + 4;
        let turns = (0..capacity * n_rot / 2).flat_map(|i| {
            let angle = f64::from(i) * 0.37;
            [angle.cos() as f32, angle.sin() as f32]
        });
        let turns: Vec<f32> = turns.chain([1.0, 0.0]).collect(); // not empty without rope
        let mut x = rng.spiky((bucket * stride) as usize);
        x[((n_heads + n_kv_heads) * head_dim) as usize] = -1e5; // v beyond f16
        let cache_words = kv_type.bytes(u64::from(capacity * n_kv_heads * head_dim)) as usize / 4;
        let args = Args {
            qkv: f.f32s_with_margin(&x),
            stride,
            rope: f.f32s(&turns),
            qk_norm: qk_norm.then(|| f.f32s(&rng.spiky(2 * head_dim as usize))),
            eps: 1e-5,
            state: f.state_at(position, row, tokens),
            gone: f.gone(row, n_kv_heads),
            k_cache: f.output(cache_words),
            v_cache: f.output(cache_words),
            kv_type,
            n_heads,
            n_kv_heads,
            head_dim,
            n_rot,
            n_tokens: bucket,
        };
        // A difference of products may cancel.
        let (atol, rtol) = (4e-6, kv_type.rounding());
        let label = format!("{n_heads}/{n_kv_heads} heads of {head_dim}, {tokens} tokens at {position}");
        f.case(step(caps, &label, &args), atol, rtol)
    }
}
