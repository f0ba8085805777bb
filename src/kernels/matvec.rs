//! y = W x (+ bias) (+ y), for 1..=8 tokens with one read of W. Optional prologues for one token: RMSNorm of x, or the
//! merge of split-KV attention partials. Serves o_proj, down_proj, logits, unfused projections and small batches.

use super::common::{self, Teams, Tuning, WeightParams};
use super::params::{self, Field, params};
use super::{Access, Kernel, Slot, StepState, Variant, reference};
use super::{Bind, Caps, Matrix, MatrixPart, Step};

/// Where x comes from.
#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// f32 [n_tokens, stride] as it is.
    Plain {
        /// The rows.
        x: Bind,
        /// Row stride in elements.
        stride: u32,
    },
    /// RMSNorm(x) * weight of one token, recomputed by every workgroup.
    Norm {
        /// The rows.
        x: Bind,
        /// Row stride in elements.
        stride: u32,
        /// f32 [cols]
        weight: Bind,
        /// rms_norm_eps
        eps: f32,
    },
    /// The merged output of `attention_decode` (n_tokens = 1): see that file for the partials' layout.
    Merge {
        /// f32 [n_splits, n_heads, head_dim] unnormalised outputs.
        partials: Bind,
        /// f32 [n_splits, n_heads, 2]: running max and sum of exponentials.
        stats: Bind,
        /// Splits allocated (`attention_decode::Args::n_splits`).
        n_splits: u32,
        /// Query heads.
        n_heads: u32,
        /// Dimensions of a head.
        head_dim: u32,
        /// Sliding window as given to `attention_decode`: the live splits follow from it and `state.row`.
        window: Option<u32>,
    },
}

/// What to do.
pub struct Args<'a> {
    /// Weights.
    pub matrix: &'a Matrix,
    /// The row range this dispatch computes (one dispatch per part).
    pub part: &'a MatrixPart,
    /// x
    pub input: Input,
    /// `StepState`
    pub state: Bind,
    /// f32 [matrix.rows], or None.
    pub bias: Option<Bind>,
    /// Add to the old contents of `out` (residual) instead of overwriting them.
    pub accumulate: bool,
    /// f32 [n_tokens, out_stride]; row r of the matrix goes to column out_column + r.
    pub out: Bind,
    /// Row stride of `out` in elements.
    pub out_stride: u32,
    /// First column of `out` (an unfused v or up writes beside the others).
    pub out_column: u32,
    /// Bucket: 1, 2, 4 or 8 tokens; rows >= state.n_tokens are left alone.
    pub n_tokens: u32,
    /// Take only row state.n_tokens - 1 of x and write row 0 of out (logits of the last position); `n_tokens` is 1.
    pub last_row: bool,
}

params! {
    /// As in the shader.
    struct Params {
        weights: WeightParams,
        rows: u32,
        row_start: u32,
        x_quads: u32,
        out_stride: u32,
        eps: f32,
        n_splits: u32,
        window: u32,
        out_column: u32,
    }
}

/// Most pairs of a split and a head that the merge prologue has workgroup memory for: 8 KiB.
pub const MAX_STATS: u32 = 16 * 128;

/// The work distribution for a step.
pub fn select(args: &Args<'_>) -> Tuning {
    let rows = args.part.rows;
    let chunks = args.matrix.layout.row_code_words(args.matrix.cols) / 4;
    match args.input {
        Input::Merge { .. } => Tuning { teams: Teams::large(rows), rows8: false },
        // The weights are decoded once for all tokens; 8 rows would need too many registers.
        _ if args.n_tokens > 1 => Tuning::select(chunks, rows, u32::MAX),
        Input::Plain { .. } => Tuning::select(chunks, rows, common::ENOUGH_ROWS),
        Input::Norm { .. } => Tuning::select(chunks, rows, common::ENOUGH_ROWS_NORM),
    }
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    step_with(caps, label, args, select(args))
}

/// Builds the step with a given work distribution (tests, tuning).
pub fn step_with(caps: &Caps, label: &str, args: &Args<'_>, tuning: Tuning) -> Step {
    let (matrix, part, m) = (args.matrix, args.part, args.n_tokens);
    assert!(matches!(m, 1 | 2 | 4 | 8), "{label}: matvec takes 1, 2, 4 or 8 tokens, not {m}");
    assert!(m == 1 || !(args.last_row || tuning.rows8), "{label}: last_row and rows8 are for one token");
    let mut params = Params {
        weights: WeightParams::new(matrix.layout, part.rows, matrix.cols),
        rows: part.rows,
        row_start: part.row_start,
        x_quads: 0,
        out_stride: args.out_stride,
        eps: 0.0,
        n_splits: 0,
        window: u32::MAX,
        out_column: args.out_column,
    };
    let mut variant = common::variant("matvec", caps, matrix.layout)
        .flag("MANY", m > 1)
        .flag("LAST_ROW", args.last_row)
        .flag("BIAS", args.bias.is_some())
        .flag("ACCUMULATE", args.accumulate);
    variant = tuning.define(variant).constant("M", m);
    let mut bindings = vec![part.codes, part.meta];
    match &args.input {
        Input::Plain { x, stride } => {
            params.x_quads = stride / 4;
            variant = variant.flag("PLAIN", true);
            bindings.extend([*x, args.state, args.out]);
        }
        Input::Norm { x, stride, weight, eps } => {
            assert!(m == 1, "{label}: several tokens are normalised by rms_norm first");
            params.x_quads = stride / 4;
            params.eps = *eps;
            variant = variant.flag("NORM", true);
            bindings.extend([*x, args.state, args.out, *weight]);
        }
        Input::Merge { partials, stats: sums, n_splits, n_heads, head_dim, window } => {
            assert!(m == 1 && !args.last_row, "{label}: the merge prologue is for one token");
            params.n_splits = *n_splits;
            params.window = window.unwrap_or(u32::MAX);
            let stats = n_splits * n_heads;
            assert!(stats <= MAX_STATS, "{label}: {stats} pairs of splits and heads, at most {MAX_STATS}");
            variant = variant.flag("MERGE", true).flag("MANY_STATS", stats > MAX_STATS / 2);
            variant =
                variant.constant("HEAD_DIM", *head_dim).constant("N_HEADS", *n_heads).constant("MAX_SPLITS", *n_splits);
            bindings.extend([*partials, args.state, args.out, *sums]);
        }
    }
    bindings.extend(args.bias);
    Step {
        kernel: &MatVec,
        label: label.to_string(),
        variant,
        params: params::encode(&params),
        bindings,
        grid: common::fold_grid(part.rows.div_ceil(tuning.rows_per_workgroup())),
    }
}

/// The kernel.
pub struct MatVec;

impl Kernel for MatVec {
    fn stem(&self) -> &'static str {
        "matvec"
    }

    fn access(&self, variant: &Variant) -> Vec<Access> {
        let mut access = vec![Access::Read, Access::Read, Access::Read, Access::Read, Access::ReadWrite];
        let more = usize::from(!variant.has("PLAIN")) + usize::from(variant.has("BIAS"));
        access.extend(std::iter::repeat_n(Access::Read, more));
        access
    }

    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }

    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let layout = variant.layout.expect("matvec has a layout");
        let state = StepState::from_words(io[3].words());
        let cols = p.weights.cols as usize;
        let tokens = if variant.has("LAST_ROW") { state.n_tokens.min(1) } else { state.n_tokens.min(variant.get("M")) };
        for token in 0..tokens {
            let x = if variant.has("MERGE") {
                merge(variant, &p, &state, io[2].f32s(), io[5].f32s())
            } else {
                let from = if variant.has("LAST_ROW") { state.n_tokens - 1 } else { token };
                let x = &io[2].f32s()[(from * p.x_quads * 4) as usize..][..cols];
                match variant.has("NORM") {
                    true => reference::rms_norm(x, &io[5].f32s()[..cols], p.eps),
                    false => reference::wide(x),
                }
            };
            for r in 0..p.rows {
                let row = reference::row(layout, io[0].words(), io[1].words(), p.rows, p.weights.cols, r);
                let mut y = reference::dot(&row, &x);
                let column = p.row_start + r;
                if variant.has("BIAS") {
                    y += f64::from(io.last().expect("bias").f32s()[column as usize]);
                }
                let out = &mut io[4].f32s_mut()[(token * p.out_stride + p.out_column + column) as usize];
                if variant.has("ACCUMULATE") {
                    y += f64::from(*out);
                }
                *out = y as f32;
            }
        }
    }
}

/// The attention output joined from its live splits.
fn merge(variant: &Variant, p: &Params, state: &StepState, partials: &[f32], stats: &[f32]) -> Vec<f64> {
    let (heads, dim) = (variant.get("N_HEADS") as usize, variant.get("HEAD_DIM") as usize);
    let active = super::attention_decode::active_splits(state.row, p.window, p.n_splits);
    let stat = |s: usize, h: usize, i: usize| f64::from(stats[(s * heads + h) * 2 + i]);
    let mut x = vec![0.0; heads * dim];
    for h in 0..heads {
        let top = (0..active as usize).map(|s| stat(s, h, 0)).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = (0..active as usize).map(|s| (stat(s, h, 0) - top).exp() * stat(s, h, 1)).sum();
        for s in 0..active as usize {
            let w = (stat(s, h, 0) - top).exp() / sum;
            for d in 0..dim {
                x[h * dim + d] += w * f64::from(partials[(s * heads + h) * dim + d]);
            }
        }
    }
    x
}
