//! y = W x (+ bias) (+ y), for 1..=8 tokens with one read of W. Optional prologues: RMSNorm of x, or the merge of
//! split-KV attention partials. Serves o_proj, down_proj, logits, unfused projections and small batches.

use super::common::{self, Teams, WeightParams};
use super::{Access, Case, Kernel, OutputKind, Slot, StepState, Variant, reference};
use super::{Bind, Caps, Matrix, MatrixPart, Step};
use crate::weights::Layout;

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
    /// RMSNorm(x) * weight, recomputed by every workgroup.
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
        /// Sliding window as given to `attention_decode`: the live splits follow from it and `state.position`.
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

/// As in the shader.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    weights: WeightParams,
    rows: u32,
    cols: u32,
    row_start: u32,
    x_quads: u32,
    out_stride: u32,
    eps: f32,
    n_splits: u32,
    window: u32,
    out_column: u32,
}

/// What `select` decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Threads per row team.
    pub teams: Teams,
    /// 8 rows per team instead of 4: less x traffic, for matrices with rows enough to fill the device anyway.
    pub rows8: bool,
}

/// Work distribution for a part of `rows` rows of `chunks` 16-byte words.
pub fn select(rows: u32, chunks: u32, n_tokens: u32) -> Tuning {
    let rows8 = n_tokens == 1 && rows >= 16_384;
    Tuning { teams: Teams::select(chunks, rows.div_ceil(if rows8 { 8 } else { 4 })), rows8 }
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    let chunks = args.matrix.layout.row_code_words(args.matrix.cols) / 4;
    step_with(caps, label, args, select(args.part.rows, chunks, args.n_tokens))
}

/// Builds the step with a given work distribution (tests, tuning).
pub fn step_with(caps: &Caps, label: &str, args: &Args<'_>, tuning: Tuning) -> Step {
    let (matrix, part, m) = (args.matrix, args.part, args.n_tokens);
    assert!(matches!(m, 1 | 2 | 4 | 8), "{label}: matvec takes 1, 2, 4 or 8 tokens, not {m}");
    assert!(m == 1 || !(args.last_row || tuning.rows8), "{label}: last_row and rows8 are for one token");
    let mut params = Params {
        weights: WeightParams::new(matrix.layout, part.rows, matrix.cols),
        rows: part.rows,
        cols: matrix.cols,
        row_start: part.row_start,
        x_quads: 0,
        out_stride: args.out_stride,
        eps: 0.0,
        n_splits: 0,
        window: u32::MAX,
        out_column: args.out_column,
    };
    let rows = if tuning.rows8 { 8 } else { 4 };
    let mut variant = common::variant("matvec", caps, matrix.layout)
        .flag("MANY", m > 1)
        .flag("ROWS8", tuning.rows8)
        .flag("LAST_ROW", args.last_row)
        .flag("BIAS", args.bias.is_some())
        .flag("ACCUMULATE", args.accumulate);
    variant = tuning.teams.define(variant).constant("ROWS", rows).constant("M", m);
    let mut bindings = vec![part.codes, part.meta];
    match &args.input {
        Input::Plain { x, stride } => {
            params.x_quads = stride / 4;
            variant = variant.flag("PLAIN", true);
            bindings.extend([*x, args.state, args.out]);
        }
        Input::Norm { x, stride, weight, eps } => {
            params.x_quads = stride / 4;
            params.eps = *eps;
            variant = variant.flag("NORM", true);
            bindings.extend([*x, args.state, args.out, *weight]);
        }
        Input::Merge { partials, stats, n_splits, n_heads, head_dim, window } => {
            assert!(m == 1 && !args.last_row, "{label}: the merge prologue is for one token");
            params.n_splits = *n_splits;
            params.window = window.unwrap_or(u32::MAX);
            variant = variant.flag("MERGE", true);
            variant =
                variant.constant("HEAD_DIM", *head_dim).constant("N_HEADS", *n_heads).constant("MAX_SPLITS", *n_splits);
            bindings.extend([*partials, args.state, args.out, *stats]);
        }
    }
    bindings.extend(args.bias);
    Step {
        kernel: &MatVec,
        label: label.to_string(),
        variant,
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings,
        grid: common::fold_grid(part.rows.div_ceil(rows * tuning.teams.groups)),
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

    fn params_bytes(&self) -> usize {
        size_of::<Params>()
    }

    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = bytemuck::pod_read_unaligned(params);
        let layout = variant.layout.expect("matvec has a layout");
        let state = StepState::from_words(io[3].words());
        let cols = p.cols as usize;
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
                let row = reference::row(layout, io[0].words(), io[1].words(), p.rows, p.cols, r);
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

    fn cases(&self, caps: &Caps) -> Vec<Case> {
        let mut cases = Vec::new();
        for &layout in common::test_layouts(caps) {
            let [tiny, odd, real] = common::test_cols(layout);
            let base = Shape { layout, rows: 5, cols: tiny, ..Shape::default() };
            let mut add = |shape: Shape| cases.push(shape.case(caps));
            add(base);
            add(Shape { rows: 37, cols: odd, bias: true, accumulate: true, ..base });
            add(Shape { rows: 130, cols: real, norm: true, ..base });
            add(Shape { rows: 70, cols: real, norm: true, bias: true, last_row: true, part_rows: 30, ..base });
            add(Shape { rows: 150, cols: odd, norm: true, rows8: true, ..base });
            add(Shape { rows: 61, cols: real, rows8: true, accumulate: true, last_row: true, ..base });
            add(Shape { rows: 33, cols: real, tokens: 2, accumulate: true, ..base });
            add(Shape { rows: 39, cols: odd, tokens: 4, norm: true, bias: true, ..base });
            add(Shape { rows: 21, cols: real, tokens: 8, ..base });
        }
        for (teams, rows8) in [((8, 8), false), ((16, 4), true), ((32, 2), false), ((64, 1), true), ((64, 2), false)] {
            let teams = Some(Teams { lanes: teams.0, groups: teams.1 });
            let base = Shape { layout: Layout::Ga4Sym, rows: 75, cols: 320, teams, rows8, ..Shape::default() };
            cases.push(base.case(caps));
            cases.push(Shape { norm: true, layout: Layout::Ga8Sym, ..base }.case(caps));
            cases.push(Shape { tokens: 2, rows8: false, norm: true, ..base }.case(caps));
        }
        // More workgroups than one grid dimension allows.
        let teams = Some(Teams { lanes: 64, groups: 1 });
        cases.push(Shape { layout: Layout::F32, rows: 65_535 * 4 + 9, cols: 4, teams, ..Shape::default() }.case(caps));
        for (layout, heads, head_dim, position, window) in [
            (Layout::F32, 3, 20, 10, None),
            (Layout::F16, 9, 64, 1000, None),
            (Layout::Bf16, 3, 20, 255, Some(100)),
            (Layout::Ga4Sym, 9, 64, 64, None),
            (Layout::Ga8Sym, 4, 8, 63, None),
            (Layout::Ga4K, 4, 64, 300, Some(128)),
            (Layout::Ga5K, 2, 128, 20, Some(512)),
            (Layout::Ga6K, 1, 256, 5000, Some(129)),
        ] {
            for n_splits in [1, 5] {
                cases.push(merge_case(caps, layout, heads, head_dim, n_splits, position, window));
            }
        }
        cases
    }
}

/// The attention output joined from its live splits.
fn merge(variant: &Variant, p: &Params, state: &StepState, partials: &[f32], stats: &[f32]) -> Vec<f64> {
    let (heads, dim) = (variant.get("N_HEADS") as usize, variant.get("HEAD_DIM") as usize);
    let (active, _) = super::attention_decode::active_splits((state.position + 1).min(p.window), p.n_splits);
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

/// f32 sums of K products in any order, against f64: relative to rms(x), as rows have a norm of about 1.
const TOLERANCE: f32 = 2e-6;

/// One test case.
#[derive(Debug, Clone, Copy)]
struct Shape {
    layout: Layout,
    rows: u32,
    cols: u32,
    tokens: u32,
    norm: bool,
    bias: bool,
    accumulate: bool,
    last_row: bool,
    rows8: bool,
    part_rows: u32,
    teams: Option<Teams>,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            layout: Layout::F32,
            rows: 1,
            cols: 4,
            tokens: 1,
            norm: false,
            bias: false,
            accumulate: false,
            last_row: false,
            rows8: false,
            part_rows: u32::MAX,
            teams: None,
        }
    }
}

impl Shape {
    fn case(self, caps: &Caps) -> Case {
        let mut b = common::CaseBuffers::default();
        let matrix = b.matrix(self.layout, self.rows, self.cols, self.part_rows.min(self.rows), 1);
        let stride = common::stride(self.cols);
        // Fewer live tokens than the bucket holds, and more when only the last counts.
        let live = if self.last_row { 3 } else { self.tokens - self.tokens / 3 };
        let x = b.f32s(&common::spiky_rows(live.max(self.tokens), self.cols, stride, 2));
        let weight = b.f32s(&common::spiky(self.cols as usize, 3));
        let input = match self.norm {
            true => Input::Norm { x, stride, weight, eps: 1e-5 },
            false => Input::Plain { x, stride },
        };
        let (out_stride, out_column) = (self.rows + 3, 2);
        let out_len = ((self.tokens - 1) * out_stride + out_column + self.rows) as usize;
        let out = match self.accumulate {
            true => b.in_out(&common::spiky(out_len, 4)),
            false => b.output(out_len),
        };
        let bias = b.f32s(&common::spiky(self.rows as usize, 5));
        let state = b.state(17, live);
        let args = Args {
            matrix: &matrix,
            part: matrix.parts.last().expect("a part"),
            input,
            state,
            bias: self.bias.then_some(bias),
            accumulate: self.accumulate,
            out,
            out_stride,
            out_column,
            n_tokens: self.tokens,
            last_row: self.last_row,
        };
        let mut tuning = select(args.part.rows, self.layout.row_code_words(self.cols) / 4, self.tokens);
        tuning.rows8 = self.rows8;
        tuning.teams = self.teams.unwrap_or(tuning.teams);
        // rms of `spiky` is 3.3; a norm's weight is as spiky as its x.
        let atol = TOLERANCE * if self.norm { 20.0 } else { 4.0 };
        Case {
            step: step_with(caps, "case", &args, tuning),
            buffers: b.words,
            atol,
            rtol: TOLERANCE,
            output: OutputKind::F32,
        }
    }
}

fn merge_case(
    caps: &Caps,
    layout: Layout,
    n_heads: u32,
    head_dim: u32,
    n_splits: u32,
    position: u32,
    window: Option<u32>,
) -> Case {
    let mut b = common::CaseBuffers::default();
    let (rows, cols) = (50, n_heads * head_dim);
    let matrix = b.matrix(layout, rows, cols, rows, 1);
    let partials = b.f32s(&common::spiky((n_splits * cols) as usize + 32, 2));
    // Maxima about +-60 (one split dominates, others all but vanish), sums above 0.
    let stats: Vec<f32> = common::spiky((n_splits * n_heads * 2) as usize, 3)
        .iter()
        .enumerate()
        .map(|(i, v)| if i % 2 == 0 { v * 1.5 } else { 1.0 + v.abs() })
        .collect();
    let stats = b.f32s(&stats);
    let state = b.state(position, 1);
    let out = b.in_out(&common::spiky(rows as usize, 4));
    let args = Args {
        matrix: &matrix,
        part: &matrix.parts[0],
        input: Input::Merge { partials, stats, n_splits, n_heads, head_dim, window },
        state,
        bias: None,
        accumulate: true,
        out,
        out_stride: rows,
        out_column: 0,
        n_tokens: 1,
        last_row: false,
    };
    Case {
        step: step(caps, "case", &args),
        buffers: b.words,
        atol: TOLERANCE * 4.0,
        rtol: TOLERANCE,
        output: OutputKind::F32,
    }
}
