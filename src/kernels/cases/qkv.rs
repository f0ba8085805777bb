//! Test cases of the fused projections.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of, cols, cols_for};
use crate::kernels::common::{Teams, Tuning};
use crate::kernels::qkv::{Args, step, step_with};
use crate::kernels::{Caps, KvType, Variant};
use crate::weights::Layout;

/// Tiny and unaligned shapes, every kind of rotation, absent q, k or v, every width of teams.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    let base = Shape::default();
    for &layout in Layout::ALL {
        let cols = cols(layout)[1];
        cases.push(Shape { layout, cols, bias: true, kv_type: KvType::F32, ..base }.case(caps));
    }
    for layout in [Layout::F32, Layout::Ga4Sym, Layout::Ga6K] {
        cases.push(Shape { layout, cols: cols(layout)[0], ..base }.case(caps));
    }
    // Rotations: none, partial, halves of an odd length, the longest head; absent q, k or v.
    for (heads, head_dim, n_rot) in [
        ([2, 1, 1], 16, 0),
        ([2, 1, 1], 80, 32),
        ([3, 2, 2], 12, 6),
        ([1, 1, 1], 20, 18),
        ([1, 1, 1], 256, 256),
        ([0, 2, 2], 8, 8),
        ([3, 0, 1], 12, 12),
        ([2, 1, 0], 12, 10),
        ([0, 0, 2], 20, 4),
    ] {
        // Stores of two f16 to a word are what rotations can get wrong; one in three with biases.
        let shape = Shape { layout: Layout::Ga4Sym, cols: 96, heads, head_dim, n_rot, ..base };
        cases.push(Shape { bias: n_rot % 3 == 2, ..shape }.case(caps));
        if heads[0] == 3 {
            cases.push(Shape { kv_type: KvType::F32, ..shape }.case(caps));
        }
    }
    for (lanes, groups, rows8) in [(8, 8, false), (16, 4, true), (32, 2, false), (64, 1, true)] {
        let tuning = Some(Tuning { teams: Teams { lanes, groups }, rows8 });
        let shape = Shape { layout: Layout::Ga8Sym, cols: 320, tuning, ..base };
        cases.push(shape.case(caps));
        let other = match groups {
            8 | 4 => Shape { heads: [2, 1, 2], head_dim: 12, bias: true, ..shape },
            _ => Shape { n_rot: 6, ..shape },
        };
        cases.push(other.case(caps));
    }
    // Norms of the heads: teams of 4 and of 8 rows, partial rotation, no v, the longest heads, a bias.
    let normed = Shape { qk_norm: true, layout: Layout::Ga8Sym, cols: 320, ..base };
    for (heads, head_dim, n_rot, bias, kv_type) in [
        ([3, 2, 2], 8, 8, false, KvType::F16),
        ([2, 1, 1], 12, 8, true, KvType::F32),
        ([2, 1, 1], 80, 32, false, KvType::F32),
        ([2, 6, 0], 64, 64, true, KvType::F16),
        ([2, 1, 1], 128, 128, false, KvType::F16),
        ([1, 1, 1], 256, 0, false, KvType::F32),
    ] {
        cases.push(Shape { heads, head_dim, n_rot, bias, kv_type, ..normed }.case(caps));
    }
    cases
}

/// Where the variant leaves the number of heads open: two workgroups, the second not full where heads allow.
pub(super) fn for_variant(variant: &Variant) -> Case {
    let layout = variant.layout.expect("qkv has a layout");
    let (head_dim, n_rot) = (variant.get("HEAD_DIM"), variant.get("N_ROT"));
    let teams = Teams { lanes: variant.get("LANES"), groups: variant.get("GROUPS") };
    let tuning = Tuning { teams, rows8: variant.has("ROWS8") };
    let (bias, qk_norm) = (variant.has("BIAS"), variant.has("QK_NORM"));
    // The fewest heads of keys with as many quads of `gone`.
    let kv_heads = 4 * (variant.get("GONE_QUADS") - 1) + 1;
    let n_heads = match bias {
        true => variant.get("BIAS_QUADS") * 4 / head_dim,
        false => (tuning.rows_per_workgroup() / head_dim + 1).max(2 * kv_heads + 2),
    };
    // A matrix may hold one or two kinds alone.
    let heads = match n_heads.checked_sub(2 * kv_heads) {
        Some(q_heads) => [q_heads, kv_heads, kv_heads],
        None => [n_heads - kv_heads, kv_heads, 0],
    };
    let kv_type = KvType::of(variant);
    // With a bias the variant may stand for thousands of rows: then a few columns must do.
    let cols = if n_heads * head_dim > 1024 { cols(layout)[1] } else { cols_for(layout, teams.lanes) };
    let tuning = Some(tuning);
    Shape { layout, cols, heads, head_dim, n_rot, bias, qk_norm, kv_type, tuning }.case(&caps_of(variant))
}

/// f32 sums of K products in any order and a rotation, against f64; normalised activations times spiky weights have a
/// root mean square of up to 15.
const ATOL: f32 = 5e-5;

/// One test case.
#[derive(Debug, Clone, Copy)]
struct Shape {
    layout: Layout,
    cols: u32,
    /// q, k, v
    heads: [u32; 3],
    head_dim: u32,
    n_rot: u32,
    bias: bool,
    qk_norm: bool,
    kv_type: KvType,
    tuning: Option<Tuning>,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            layout: Layout::F32,
            cols: 32,
            heads: [3, 2, 2],
            head_dim: 8,
            n_rot: 8,
            bias: false,
            qk_norm: false,
            kv_type: KvType::F16,
            tuning: None,
        }
    }
}

impl Shape {
    fn case(self, caps: &Caps) -> Case {
        let (position, row, capacity) = (5, 6, 7);
        let mut f = Fixture::default();
        let mut rng = Rng::new(2);
        let rows = self.heads.iter().sum::<u32>() * self.head_dim;
        let matrix = f.matrix(self.layout, rows, self.cols, rows, 1);
        let turns: Vec<f32> = (0..capacity * self.n_rot / 2)
            .map(|i| f64::from(i) * 0.37)
            .flat_map(|angle| [angle.cos() as f32, angle.sin() as f32])
            .chain([1.0, 0.0]) // not empty without rope
            .collect();
        let mut biases = rng.spiky(rows as usize);
        biases[rows as usize - 1] = -1e5; // v (or k) beyond f16
        let cache_words = |heads: u32| self.kv_type.bytes(u64::from(capacity * heads * self.head_dim)) as usize / 4;
        let args = Args {
            matrix: &matrix,
            q_heads: self.heads[0],
            k_heads: self.heads[1],
            v_heads: self.heads[2],
            head_dim: self.head_dim,
            n_rot: self.n_rot,
            x: f.activations(1, self.cols, &mut rng),
            norm_weight: f.f32s(&rng.spiky(self.cols as usize)),
            eps: 1e-5,
            bias: self.bias.then(|| f.f32s(&biases)),
            qk_norm: self.qk_norm.then(|| f.f32s(&rng.spiky(2 * self.head_dim as usize))),
            rope: f.f32s(&turns),
            state: f.state_at(position, row, 1),
            gone: f.gone(row, self.heads[1].max(self.heads[2]).max(1)),
            q_out: f.output((self.heads[0] * self.head_dim) as usize),
            k_cache: f.output(cache_words(self.heads[1])),
            v_cache: f.output(cache_words(self.heads[2])),
            kv_type: self.kv_type,
        };
        let rtol = self.kv_type.rounding();
        let label = format!("{:?} heads of {} x {}, {} rotated", self.heads, self.head_dim, self.cols, self.n_rot);
        let step = match self.tuning {
            Some(tuning) => step_with(caps, &label, &args, tuning),
            None => step(caps, &label, &args),
        };
        f.case(step, ATOL, rtol)
    }
}
