//! One decode token: RMSNorm + stacked q, k, v projection + bias + rope + write of k and v into the cache.

use super::common::{self, Tuning, WeightParams};
use super::reference::pack_f16;
use super::{Access, Kernel, OutputKind, Slot, StepState, Variant, reference};
use super::{Bind, Caps, KvType, Matrix, Step};

/// What to do. The matrix stacks the rows [q; k; v] of which any may be absent (0 rows): when the three have different
/// layouts, the planner makes two or three steps. The matrix has one part.
pub struct Args<'a> {
    /// Weights [q_heads*head_dim + k_heads*head_dim + v_heads*head_dim, d_model].
    pub matrix: &'a Matrix,
    /// Query heads in the matrix (0 = no q rows).
    pub q_heads: u32,
    /// Key heads in the matrix (0 = no k rows).
    pub k_heads: u32,
    /// Value heads in the matrix (0 = no v rows).
    pub v_heads: u32,
    /// Dimensions of a head.
    pub head_dim: u32,
    /// Rotated dimensions: pairs (i, i + n_rot/2) for i < n_rot/2; the rest passes through. 0 = no rope.
    pub n_rot: u32,
    /// f32 [1, d_model]
    pub x: Bind,
    /// f32 [d_model]
    pub norm_weight: Bind,
    /// rms_norm_eps
    pub eps: f32,
    /// f32 [matrix.rows], or None; at most [`MAX_BIAS_ROWS`] rows (a uniform binding, as `state` is).
    pub bias: Option<Bind>,
    /// f32 [capacity, n_rot/2, 2]: cos, sin.
    pub rope: Bind,
    /// `StepState`: position = row of `rope` and of the caches.
    pub state: Bind,
    /// f32 [q_heads*head_dim]; the three outputs are distinct buffers even where one of them gets no rows.
    pub q_out: Bind,
    /// [capacity, k_heads*head_dim] of `kv_type`
    pub k_cache: Bind,
    /// [capacity, v_heads*head_dim] of `kv_type`
    pub v_cache: Bind,
    /// Element type of the caches.
    pub kv_type: KvType,
}

/// As in the shader.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    weights: WeightParams,
    cols: u32,
    q_heads: u32,
    k_heads: u32,
    v_heads: u32,
    eps: f32,
}

/// The most rows with a bias: 64 KiB of uniform binding.
pub const MAX_BIAS_ROWS: u32 = 16_384;

/// Fours of rows to compute, over all heads; where halves of rotary pairs share no words, of each four two are stored.
fn fours(args: &Args<'_>) -> u32 {
    let heads = args.q_heads + args.k_heads + args.v_heads;
    heads * args.head_dim / if args.n_rot % 4 == 2 { 2 } else { 4 }
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    let chunks = args.matrix.layout.row_code_words(args.matrix.cols) / 4;
    step_with(caps, label, args, Tuning::select(chunks, fours(args) * 4, common::ENOUGH_ROWS_NORM))
}

/// Builds the step with a given work distribution (tests, tuning).
pub fn step_with(caps: &Caps, label: &str, args: &Args<'_>, tuning: Tuning) -> Step {
    let matrix = args.matrix;
    let heads = args.q_heads + args.k_heads + args.v_heads;
    assert!(
        args.head_dim.is_multiple_of(4) && args.n_rot.is_multiple_of(2) && args.n_rot <= args.head_dim,
        "{label}: qkv needs head_dim {} in fours and n_rot {} even and no larger",
        args.head_dim,
        args.n_rot
    );
    assert!(args.bias.is_none() || matrix.rows <= MAX_BIAS_ROWS, "{label}: {} rows with a bias", matrix.rows);
    let params = Params {
        weights: WeightParams::new(matrix.layout, matrix.rows, matrix.cols),
        cols: matrix.cols,
        q_heads: args.q_heads,
        k_heads: args.k_heads,
        v_heads: args.v_heads,
        eps: args.eps,
    };
    let variant = common::variant("qkv", caps, matrix.layout)
        .flag("NORM", true)
        .flag("BIAS", args.bias.is_some())
        .flag("ODD_HALF", args.n_rot % 4 == 2)
        .flag("KV_F32", args.kv_type == KvType::F32);
    let mut variant = tuning.define(variant).constant("HEAD_DIM", args.head_dim).constant("N_ROT", args.n_rot);
    if args.bias.is_some() {
        variant = variant.constant("BIAS_QUADS", heads * args.head_dim / 4);
    }
    let part = &matrix.parts[0];
    let mut bindings = vec![
        part.codes,
        part.meta,
        args.x,
        args.norm_weight,
        args.rope,
        args.state,
        args.q_out,
        args.k_cache,
        args.v_cache,
    ];
    bindings.extend(args.bias);
    Step {
        kernel: &Qkv,
        label: label.to_string(),
        variant,
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings,
        grid: common::fold_grid((fours(args) * 4).div_ceil(tuning.rows_per_workgroup())),
    }
}

/// The kernel.
pub struct Qkv;

impl Kernel for Qkv {
    fn stem(&self) -> &'static str {
        "qkv"
    }

    fn access(&self, variant: &Variant) -> Vec<Access> {
        use Access::{Read, ReadWrite, Uniform};
        let mut access = vec![Read, Read, Read, Read, Read, Uniform, ReadWrite, ReadWrite, ReadWrite];
        if variant.has("BIAS") {
            access.push(Uniform);
        }
        access
    }

    fn outputs(&self, variant: &Variant) -> OutputKind {
        if variant.has("KV_F32") { OutputKind::F32 } else { OutputKind::F32ThenF16 }
    }

    fn params_bytes(&self) -> usize {
        size_of::<Params>()
    }

    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = bytemuck::pod_read_unaligned(params);
        let layout = variant.layout.expect("qkv has a layout");
        let (dim, half) = (variant.get("HEAD_DIM") as usize, variant.get("N_ROT") as usize / 2);
        let position = StepState::from_words(io[5].words()).position as usize;
        let cols = p.cols as usize;
        let n = reference::rms_norm(&io[2].f32s()[..cols], &io[3].f32s()[..cols], p.eps);
        let rows = (p.q_heads + p.k_heads + p.v_heads) * dim as u32;
        let mut y: Vec<f64> = (0..rows)
            .map(|r| reference::dot(&reference::row(layout, io[0].words(), io[1].words(), rows, p.cols, r), &n))
            .collect();
        if variant.has("BIAS") {
            for (y, bias) in y.iter_mut().zip(io[9].f32s()) {
                *y += f64::from(*bias);
            }
        }
        let (q_cols, k_cols) = (p.q_heads as usize * dim, p.k_heads as usize * dim);
        for head in y[..q_cols + k_cols].chunks_exact_mut(dim) {
            for i in 0..half {
                let turn = &io[4].f32s()[2 * (position * half + i)..];
                let (cos, sin) = (f64::from(turn[0]), f64::from(turn[1]));
                let (a, b) = (head[i], head[i + half]);
                head[i] = a * cos - b * sin;
                head[i + half] = b * cos + a * sin;
            }
        }
        let (q, kv) = y.split_at(q_cols);
        let (k, v) = kv.split_at(k_cols);
        for (out, value) in io[6].f32s_mut().iter_mut().zip(q) {
            *out = *value as f32;
        }
        for (slot, values) in [(7, k), (8, v)] {
            let start = position * values.len();
            if variant.has("KV_F32") {
                for (out, value) in io[slot].f32s_mut()[start..].iter_mut().zip(values) {
                    *out = *value as f32;
                }
            } else {
                for (out, pair) in io[slot].words_mut()[start / 2..].iter_mut().zip(values.chunks_exact(2)) {
                    *out = pack_f16(pair[0], pair[1]);
                }
            }
        }
    }
}
