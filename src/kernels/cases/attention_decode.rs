//! Test cases of decode attention.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of};
use crate::kernels::attention_decode::{Args, step};
use crate::kernels::{Caps, KvType, Variant};

/// Shapes at the edges.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    use KvType::{F16, F32};
    // n_heads, n_kv_heads, head_dim, row, window, n_splits, cache
    let shapes = [
        (1, 1, 8, 0, None, 4, F16),
        (2, 1, 12, 1, None, 4, F16),
        (9, 3, 64, 63, None, 4, F16),
        (9, 3, 64, 64, None, 4, F16),
        (9, 3, 64, 65, None, 4, F32),
        (6, 1, 16, 300, None, 2, F16), // more than a tile per split
        (7, 1, 64, 130, Some(65), 4, F16),
        (4, 2, 80, 200, Some(64), 4, F16), // five sixths of the threads own columns
        (8, 1, 128, 65, None, 2, F16),
        (32, 2, 128, 70, Some(1000), 2, F16), // a group of 16: two blocks of 8
        (9, 1, 128, 40, None, 2, F16),        // two blocks, the second not full
        (4, 1, 160, 64, None, 2, F16),        // three key lanes
        (8, 1, 256, 129, None, 3, F32),
        (2, 2, 256, 1, Some(1), 3, F16),
        (6, 3, 16, 400, None, 8, F16), // rows gone: a head with fewer keys than splits
        (4, 4, 16, 300, Some(130), 8, F32),
        (1, 1, 8, 12800, None, 200, F16), // shares of 65 leave the last splits without keys
    ];
    shapes
        .map(|(n_heads, n_kv_heads, head_dim, row, window, n_splits, kv_type)| {
            Shape { n_heads, n_kv_heads, head_dim, row, window, n_splits, kv_type }.case(caps)
        })
        .into()
}

/// Two KV heads with one block of query heads each, and two splits of more than a tile.
pub(super) fn for_variant(variant: &Variant) -> Case {
    let kv_type = KvType::of(variant);
    let (head_dim, n_heads) = (variant.get("HEAD_DIM"), 2 * variant.get("HEADS"));
    let shape = Shape { n_heads, n_kv_heads: 2, head_dim, row: 150, window: Some(131), n_splits: 2, kv_type };
    shape.case(&caps_of(variant))
}

struct Shape {
    n_heads: u32,
    n_kv_heads: u32,
    head_dim: u32,
    row: u32,
    window: Option<u32>,
    n_splits: u32,
    kv_type: KvType,
}

impl Shape {
    fn case(self, caps: &Caps) -> Case {
        let Shape { n_heads, n_kv_heads, head_dim, row, window, n_splits, kv_type } = self;
        let mut f = Fixture::default();
        let mut rng = Rng::new(u64::from(row * 256 + head_dim));
        let cache = ((row + 1) * n_kv_heads * head_dim) as usize;
        let args = Args {
            q: f.f32s(&rng.spiky((n_heads * head_dim) as usize)),
            k_cache: f.cache(kv_type, &rng.spiky(cache)),
            v_cache: f.cache(kv_type, &rng.spiky(cache)),
            kv_type,
            state: f.state(row, 1),
            gone: f.gone(row, n_kv_heads),
            partials: f.output((n_splits * n_heads * head_dim) as usize),
            stats: f.output((n_splits * n_heads * 2) as usize),
            n_heads,
            n_kv_heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            window,
            n_splits,
        };
        // Scores reach about 30: their f32 error of some 1e-6 is a relative error of the weights, as is that of
        // exp (3 + 2|x| ULP). Values reach 50, and outputs may cancel to nothing: hence atol.
        let label = format!("{n_heads}/{n_kv_heads} heads of {head_dim}, row {row}, window {window:?}");
        f.case(step(caps, &label, &args), 2e-5, 1e-5)
    }
}
