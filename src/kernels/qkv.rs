//! One decode token: RMSNorm + stacked q, k, v projection + bias (+ RMSNorm of each head of q and k) + rope + write of k
//! and v into the cache.

use super::common::{self, Teams, Tuning, WeightParams};
use super::params::{self, Field, params};
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
    /// rms_norm_eps, also of `qk_norm`.
    pub eps: f32,
    /// f32 [matrix.rows], or None; at most [`MAX_BIAS_ROWS`] rows (a uniform binding, as `state` is).
    pub bias: Option<Bind>,
    /// f32 [2*head_dim]: weights of the RMSNorm of each head of q, then of k; None without one. See [`fuses`].
    pub qk_norm: Option<Bind>,
    /// f32 [capacity, n_rot/2, 2]: cos, sin.
    pub rope: Bind,
    /// `StepState`: position = row of `rope`.
    pub state: Bind,
    /// u32 [KV heads], padded to a multiple of 4: rows of each KV head that are no longer there (merged or evicted).
    /// k and v of head h go to row `state.row - gone[h]`.
    pub gone: Bind,
    /// f32 [q_heads*head_dim]; the three outputs are distinct buffers even where one of them gets no rows.
    pub q_out: Bind,
    /// [capacity, k_heads*head_dim] of `kv_type`
    pub k_cache: Bind,
    /// [capacity, v_heads*head_dim] of `kv_type`
    pub v_cache: Bind,
    /// Element type of the caches.
    pub kv_type: KvType,
}

params! {
    /// As in the shader.
    struct Params {
        weights: WeightParams,
        q_heads: u32,
        k_heads: u32,
        v_heads: u32,
        eps: f32,
    }
}

/// The most rows with a bias: 64 KiB of uniform binding.
pub const MAX_BIAS_ROWS: u32 = 16_384;

/// Most threads of a workgroup.
const MAX_THREADS: u32 = 256;
/// Fewest threads that share rows.
const MIN_LANES: u32 = 8;

/// Teams that own one head together, for qk-norm: (teams, 8 rows per team).
fn head_teams(head_dim: u32) -> (u32, bool) {
    let rows8 = head_dim.is_multiple_of(8);
    (head_dim / if rows8 { 8 } else { 4 }, rows8)
}

/// Whether this kernel can do a layer; where it cannot, matvec and rope_kv do. `bias_rows`: rows of the matrix, if it
/// has a bias.
pub fn fuses(head_dim: u32, n_rot: u32, bias_rows: Option<u32>, qk_norm: bool) -> bool {
    let shape = head_dim.is_multiple_of(4) && n_rot.is_multiple_of(2) && n_rot <= head_dim;
    // With qk-norm a workgroup owns a whole head, without rows that are computed twice (see the shader).
    let norm = !qk_norm || (n_rot.is_multiple_of(4) && head_teams(head_dim).0 * MIN_LANES <= MAX_THREADS);
    shape && norm && bias_rows.is_none_or(|rows| rows <= MAX_BIAS_ROWS)
}

/// The work distribution for a step.
pub fn select(args: &Args<'_>) -> Tuning {
    let chunks = args.matrix.layout.row_code_words(args.matrix.cols) / 4;
    let tuning = Tuning::select(chunks, fours(args) * 4, common::ENOUGH_ROWS_NORM);
    if args.qk_norm.is_none() {
        return tuning;
    }
    let (groups, rows8) = head_teams(args.head_dim);
    let most = MAX_THREADS / groups;
    let lanes = tuning.teams.lanes.min(1 << most.ilog2());
    Tuning { teams: Teams { lanes, groups }, rows8 }
}

/// Fours of rows to compute, over all heads; where halves of rotary pairs share no words, of each four two are stored.
fn fours(args: &Args<'_>) -> u32 {
    let heads = args.q_heads + args.k_heads + args.v_heads;
    heads * args.head_dim / if args.n_rot % 4 == 2 { 2 } else { 4 }
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    step_with(caps, label, args, select(args))
}

/// Quads of `gone`.
fn gone_quads(k_heads: u32, v_heads: u32) -> u32 {
    k_heads.max(v_heads).max(1).div_ceil(4)
}

/// Builds the step with a given work distribution (tests, tuning).
pub fn step_with(caps: &Caps, label: &str, args: &Args<'_>, tuning: Tuning) -> Step {
    let matrix = args.matrix;
    let heads = args.q_heads + args.k_heads + args.v_heads;
    assert!(
        fuses(args.head_dim, args.n_rot, args.bias.map(|_| matrix.rows), args.qk_norm.is_some()),
        "{label}: qkv cannot do {} rows, head_dim {}, n_rot {}, with a bias: {}, with qk_norm: {}",
        matrix.rows,
        args.head_dim,
        args.n_rot,
        args.bias.is_some(),
        args.qk_norm.is_some()
    );
    assert!(
        args.qk_norm.is_none() || tuning.rows_per_workgroup() == args.head_dim,
        "{label}: with qk_norm a workgroup owns a head of {}, not {} rows",
        args.head_dim,
        tuning.rows_per_workgroup()
    );
    let params = Params {
        weights: WeightParams::new(matrix.layout, matrix.rows, matrix.cols),
        q_heads: args.q_heads,
        k_heads: args.k_heads,
        v_heads: args.v_heads,
        eps: args.eps,
    };
    let variant = common::variant("qkv", caps, matrix.layout)
        .flag("NORM", true)
        .flag("BIAS", args.bias.is_some())
        .flag("QK_NORM", args.qk_norm.is_some())
        .flag("ODD_HALF", args.n_rot % 4 == 2);
    let mut variant =
        tuning.define(args.kv_type.define(variant)).constant("HEAD_DIM", args.head_dim).constant("N_ROT", args.n_rot);
    variant = variant.constant("GONE_QUADS", gone_quads(args.k_heads, args.v_heads));
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
        args.gone,
    ];
    bindings.extend(args.bias);
    bindings.extend(args.qk_norm);
    Step {
        kernel: &Qkv,
        label: label.to_string(),
        variant,
        params: params::encode(&params),
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
        let mut access = vec![Read, Read, Read, Read, Read, Uniform, ReadWrite, ReadWrite, ReadWrite, Uniform];
        access.extend(["BIAS", "QK_NORM"].iter().filter(|flag| variant.has(flag)).map(|_| Uniform));
        access
    }

    fn outputs(&self, variant: &Variant) -> OutputKind {
        KvType::of(variant).outputs()
    }

    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }

    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let layout = variant.layout.expect("qkv has a layout");
        let (dim, half) = (variant.get("HEAD_DIM") as usize, variant.get("N_ROT") as usize / 2);
        let StepState { position, row, .. } = StepState::from_words(io[5].words());
        let position = position as usize;
        let cols = p.weights.cols as usize;
        let n = reference::rms_norm(&io[2].f32s()[..cols], &io[3].f32s()[..cols], p.eps);
        let rows = (p.q_heads + p.k_heads + p.v_heads) * dim as u32;
        let mut y: Vec<f64> = (0..rows)
            .map(|r| reference::dot(&reference::row(layout, io[0].words(), io[1].words(), rows, p.weights.cols, r), &n))
            .collect();
        if variant.has("BIAS") {
            for (y, bias) in y.iter_mut().zip(io[10].f32s()) {
                *y += f64::from(*bias);
            }
        }
        let (q_cols, k_cols) = (p.q_heads as usize * dim, p.k_heads as usize * dim);
        for (h, head) in y[..q_cols + k_cols].chunks_exact_mut(dim).enumerate() {
            if variant.has("QK_NORM") {
                let weights = &io.last().expect("qk_norm").f32s()[if h < p.q_heads as usize { 0 } else { dim }..];
                reference::normalise(head, &weights[..dim], p.eps);
            }
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
            for (h, head) in values.chunks_exact(dim).enumerate() {
                let row = (row - io[9].words()[h]) as usize;
                KvType::of(variant).store(&mut io[slot], row * values.len() + h * dim, head);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuses_what_a_workgroup_can_own() {
        assert!(fuses(128, 128, None, true) && fuses(256, 256, Some(MAX_BIAS_ROWS), true) && fuses(80, 32, None, true));
        assert!(fuses(12, 6, None, false) && !fuses(12, 6, None, true)); // halves of an odd length
        assert!(fuses(132, 132, None, false) && !fuses(132, 132, None, true)); // 33 teams of 8 threads
        assert!(!fuses(512, 512, None, true)); // 64 teams
        assert!(!fuses(64, 64, Some(MAX_BIAS_ROWS + 1), false) && !fuses(10, 4, None, false));
    }
}
