//! One decode token: RMSNorm + stacked q, k, v projection + rope + write of k and v into the cache.
//!
//! Without biases: x, norm, rope, q, k, v and the weights are all the buffers that a base device binds. Layers with
//! biases, and those whose n_rot is not a multiple of 4, take `matvec` and `rope_kv` instead ([`fits`]).

use super::common::{self, Teams, WeightParams};
use super::{Access, Case, Kernel, OutputKind, Slot, StepState, Variant, reference};
use super::{Bind, Caps, KvType, Matrix, Step};
use crate::weights::Layout;

/// What to do. The matrix stacks the rows [q; k; v] of which any may be absent (0 rows): when the three have different
/// layouts, the planner makes two or three steps. The matrix has one part.
pub struct Args<'a> {
    /// Weights [(q_heads + k_heads + v_heads) * head_dim, d_model].
    pub matrix: &'a Matrix,
    /// Query heads in the matrix (0 = no q rows).
    pub q_heads: u32,
    /// Key heads in the matrix (0 = no k rows).
    pub k_heads: u32,
    /// Value heads in the matrix (0 = no v rows).
    pub v_heads: u32,
    /// Dimensions of a head, a multiple of 4.
    pub head_dim: u32,
    /// Rotated dimensions, a multiple of 4: pairs (i, i + n_rot/2) for i < n_rot/2; the rest passes through. 0 = no rope.
    pub n_rot: u32,
    /// f32 [1, d_model]
    pub x: Bind,
    /// f32 [d_model]
    pub norm_weight: Bind,
    /// rms_norm_eps
    pub eps: f32,
    /// f32 [capacity, n_rot/2, 2]: cos, sin.
    pub rope: Bind,
    /// `StepState`: position = row of `rope` and of the caches.
    pub state: Bind,
    /// f32 [q_heads*head_dim]
    pub q_out: Bind,
    /// [capacity, k_heads*head_dim] of `kv_type`
    pub k_cache: Bind,
    /// [capacity, v_heads*head_dim] of `kv_type`
    pub v_cache: Bind,
    /// Element type of the caches.
    pub kv_type: KvType,
}

/// Whether a layer can take this kernel.
pub fn fits(n_rot: u32, bias: bool) -> bool {
    n_rot.is_multiple_of(4) && !bias
}

/// As in the shader.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    weights: WeightParams,
    rows: u32,
    cols: u32,
    q_heads: u32,
    k_heads: u32,
    v_heads: u32,
    eps: f32,
    pad: [u32; 3],
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    let matrix = args.matrix;
    let [part] = &matrix.parts[..] else { panic!("{label}: a stacked matrix has one part") };
    let heads = args.q_heads + args.k_heads + args.v_heads;
    assert_eq!(matrix.rows, heads * args.head_dim, "{label}: rows of the stacked matrix");
    assert!(fits(args.n_rot, false) && args.head_dim.is_multiple_of(4), "{label}: head of {} dims", args.head_dim);
    let weights = WeightParams::new(matrix.layout, matrix.rows, matrix.cols);
    let n_teams = matrix.rows / 4;
    let teams = Teams::select(weights.chunks, n_teams);
    let variant = common::variant("qkv", caps, matrix.layout)
        .flag("NORM", true)
        .flag("KV_F16", args.kv_type == KvType::F16)
        .constant("HEAD_DIM", args.head_dim)
        .constant("HALF", args.n_rot / 2);
    let params = Params {
        weights,
        rows: matrix.rows,
        cols: matrix.cols,
        q_heads: args.q_heads,
        k_heads: args.k_heads,
        v_heads: args.v_heads,
        eps: args.eps,
        pad: [0; 3],
    };
    Step {
        kernel: &Qkv,
        label: label.to_string(),
        variant: teams.define(variant),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings: vec![
            part.codes,
            part.meta,
            args.x,
            args.norm_weight,
            args.rope,
            args.state,
            args.q_out,
            args.k_cache,
            args.v_cache,
        ],
        grid: common::fold_grid(n_teams.div_ceil(teams.groups)),
    }
}

/// The kernel.
pub struct Qkv;

impl Kernel for Qkv {
    fn stem(&self) -> &'static str {
        "qkv"
    }

    fn access(&self, _variant: &Variant) -> Vec<Access> {
        use Access::{Read, ReadWrite, Uniform};
        vec![Read, Read, Read, Read, Read, Uniform, ReadWrite, ReadWrite, ReadWrite]
    }

    fn params_bytes(&self) -> usize {
        size_of::<Params>()
    }

    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = bytemuck::pod_read_unaligned(params);
        let layout = variant.layout.expect("qkv has a layout");
        let (dim, half) = (variant.get("HEAD_DIM") as usize, variant.get("HALF") as usize);
        let position = StepState::from_words(io[5].words()).position as usize;
        let cols = p.cols as usize;
        let x = reference::rms_norm(&io[2].f32s()[..cols], &io[3].f32s()[..cols], p.eps);
        let rope: Vec<f32> = io[4].f32s().iter().copied().skip(position * half * 2).take(half * 2).collect();
        let heads = [p.q_heads, p.k_heads, p.v_heads];
        let mut row = 0;
        for (kind, n_heads) in heads.into_iter().enumerate() {
            for head in 0..n_heads as usize {
                let mut y: Vec<f64> = (0..dim as u32)
                    .map(|d| {
                        let w = reference::row(layout, io[0].words(), io[1].words(), p.rows, p.cols, row + d);
                        reference::dot(&w, &x)
                    })
                    .collect();
                row += dim as u32;
                if kind < 2 {
                    for i in 0..half {
                        let (cos, sin) = (f64::from(rope[2 * i]), f64::from(rope[2 * i + 1]));
                        let (a, b) = (y[i], y[i + half]);
                        y[i] = a * cos - b * sin;
                        y[i + half] = b * cos + a * sin;
                    }
                }
                let start = if kind == 0 { head } else { position * n_heads as usize + head } * dim;
                let out = &mut io[6 + kind];
                if kind > 0 && variant.has("KV_F16") {
                    let halves: &mut [half::f16] = bytemuck::cast_slice_mut(out.words_mut());
                    for (to, y) in halves[start..start + dim].iter_mut().zip(&y) {
                        *to = half::f16::from_f64(y.clamp(-65504.0, 65504.0));
                    }
                } else {
                    for (to, y) in out.f32s_mut()[start..start + dim].iter_mut().zip(&y) {
                        *to = *y as f32;
                    }
                }
            }
        }
    }

    fn cases(&self, caps: &Caps) -> Vec<Case> {
        let mut cases = Vec::new();
        for &layout in Layout::ALL {
            let [tiny, odd, real] = common::test_cols(layout);
            let base =
                Shape { layout, cols: tiny, heads: [4, 2, 2], head_dim: 8, n_rot: 8, position: 0, kv: KvType::F16 };
            let mut add = |shape: Shape| cases.push(shape.case(caps));
            add(base);
            add(Shape { cols: odd, heads: [3, 1, 1], head_dim: 20, n_rot: 20, position: 3, kv: KvType::F32, ..base });
            add(Shape { cols: real, heads: [3, 1, 1], head_dim: 64, n_rot: 64, position: 7, ..base });
            // [q; k] and v apart, as in mixes of layouts.
            add(Shape { cols: odd, heads: [2, 1, 0], head_dim: 16, n_rot: 16, position: 5, ..base });
            add(Shape { cols: odd, heads: [0, 0, 2], head_dim: 16, n_rot: 16, position: 5, ..base });
        }
        let base = Shape {
            layout: Layout::Ga4Sym,
            cols: 64,
            heads: [2, 1, 1],
            head_dim: 12,
            n_rot: 12,
            position: 2,
            kv: KvType::F16,
        };
        for (head_dim, n_rot) in [(12, 12), (12, 4), (16, 0), (80, 20), (128, 128), (256, 64), (256, 256)] {
            cases.push(Shape { head_dim, n_rot, ..base }.case(caps));
        }
        cases
    }
}

/// Products of a norm (spiky x, spiky weight) in f32; on top the rounding of f16, which `rtol` covers.
const TOLERANCE: f32 = 5e-5;

/// One test case.
#[derive(Debug, Clone, Copy)]
struct Shape {
    layout: Layout,
    cols: u32,
    heads: [u32; 3],
    head_dim: u32,
    n_rot: u32,
    position: u32,
    kv: KvType,
}

impl Shape {
    fn case(self, caps: &Caps) -> Case {
        let mut b = common::CaseBuffers::default();
        let [q_heads, k_heads, v_heads] = self.heads;
        let rows = (q_heads + k_heads + v_heads) * self.head_dim;
        let matrix = b.matrix(self.layout, rows, self.cols, rows, 1);
        let x = b.f32s(&common::spiky_rows(1, self.cols, common::stride(self.cols), 2));
        let norm_weight = b.f32s(&common::spiky(self.cols as usize, 3));
        let angles = 0..(self.position + 2) * self.n_rot / 2;
        let table: Vec<f32> = angles.flat_map(|i| [(i as f32 * 0.7).cos(), (i as f32 * 0.7).sin()]).collect();
        let rope = b.f32s(if table.is_empty() { &[0.0] } else { &table });
        let state = b.state(self.position, 1);
        let words = |elements: u32| match self.kv {
            KvType::F16 => elements as usize / 2,
            KvType::F32 => elements as usize,
        };
        let capacity = self.position + 2;
        let q_out = b.output((q_heads * self.head_dim) as usize);
        let k_cache = b.output(words(capacity * k_heads * self.head_dim));
        let v_cache = b.output(words(capacity * v_heads * self.head_dim));
        let args = Args {
            matrix: &matrix,
            q_heads,
            k_heads,
            v_heads,
            head_dim: self.head_dim,
            n_rot: self.n_rot,
            x,
            norm_weight,
            eps: 1e-5,
            rope,
            state,
            q_out,
            k_cache,
            v_cache,
            kv_type: self.kv,
        };
        let f16 = self.kv == KvType::F16;
        Case {
            step: step(caps, "case", &args),
            buffers: b.words,
            atol: TOLERANCE,
            rtol: if f16 { 1.0 / 1024.0 } else { TOLERANCE },
            output: if f16 { OutputKind::F32ThenF16 } else { OutputKind::F32 },
        }
    }
}
