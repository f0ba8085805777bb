//! Test cases of prefill attention.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of};
use crate::kernels::attention_prefill::{Args, step};
use crate::kernels::{Caps, KvType, Variant};

/// Shapes at the edges.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    use KvType::{F16, F32};
    // n_heads, n_kv_heads, head_dim, row, window, tokens, bucket, cache
    let shapes = [
        (1, 1, 8, 0, None, 1, 16, F16),
        (2, 1, 12, 1, None, 3, 16, F16),
        (9, 3, 64, 0, None, 33, 64, F16),
        (9, 3, 64, 65, None, 5, 16, F32),
        (4, 2, 16, 63, Some(20), 40, 64, F16), // tiles in which some rows see nothing
        (6, 1, 16, 300, Some(1), 17, 32, F16),
        (6, 3, 16, 130, Some(50), 20, 32, F16), // rows gone, other numbers by head
        (4, 1, 80, 64, None, 9, 16, F16),
        (16, 1, 128, 31, None, 6, 16, F16),      // two blocks of 8 heads
        (2, 2, 128, 40, Some(1000), 4, 16, F32), // tiles of 16 keys
        (7, 1, 256, 20, None, 3, 16, F16),
        (2, 1, 256, 19, None, 2, 16, F32), // tiles of 8 keys
    ];
    shapes
        .map(|(n_heads, n_kv_heads, head_dim, row, window, tokens, bucket, kv_type)| {
            Shape { n_heads, n_kv_heads, head_dim, row, window, tokens, bucket, kv_type }.case(caps)
        })
        .into()
}

/// Two KV heads with one block of query heads each, two tiles of tokens (the second not full) and of keys.
pub(super) fn for_variant(variant: &Variant) -> Case {
    let kv_type = KvType::of(variant);
    let (head_dim, heads) = (variant.get("HEAD_DIM"), variant.get("HEADS"));
    let tokens = 32 / heads + 3;
    let (n_heads, row, window) = (2 * heads, 37, Some(30));
    let shape = Shape { n_heads, n_kv_heads: 2, head_dim, row, window, tokens, bucket: tokens + 2, kv_type };
    shape.case(&caps_of(variant))
}

struct Shape {
    n_heads: u32,
    n_kv_heads: u32,
    head_dim: u32,
    row: u32,
    window: Option<u32>,
    tokens: u32,
    bucket: u32,
    kv_type: KvType,
}

impl Shape {
    fn case(self, caps: &Caps) -> Case {
        let Shape { n_heads, n_kv_heads, head_dim, row, window, tokens, bucket, kv_type } = self;
        let mut f = Fixture::default();
        let mut rng = Rng::new(u64::from(row * 256 + head_dim));
        let cache = ((row + tokens) * n_kv_heads * head_dim) as usize;
        let q_stride = (n_heads + 2 * n_kv_heads) * head_dim;
        let out_stride = n_heads * head_dim + 4;
        let args = Args {
            q: f.f32s(&rng.spiky((bucket * q_stride) as usize)),
            q_stride,
            k_cache: f.cache(kv_type, &rng.spiky(cache)),
            v_cache: f.cache(kv_type, &rng.spiky(cache)),
            kv_type,
            state: f.state(row, tokens),
            gone: f.gone(row, n_kv_heads),
            out: f.output((bucket * out_stride) as usize),
            out_stride,
            n_heads,
            n_kv_heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            window,
            n_tokens: bucket,
        };
        // As in attention_decode: scores reach about 30, values 50, and outputs may cancel.
        let label = format!("{n_heads}/{n_kv_heads} heads of {head_dim}, {tokens} tokens at row {row}");
        f.case(step(caps, &label, &args), 2e-5, 1e-5)
    }
}
