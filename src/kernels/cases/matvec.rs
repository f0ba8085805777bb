//! Test cases of the mat-vec.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of, cols, cols_for};
use crate::kernels::common::{self, Teams, Tuning};
use crate::kernels::matvec::{Args, Input, select, step_with};
use crate::kernels::{Caps, Variant};
use crate::weights::Layout;

/// Tiny and unaligned shapes, every width of teams, splits of every kind.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    let plain = Shape { accumulate: true, ..Shape::default() };
    for &layout in Layout::ALL {
        cases.push(Shape { layout, rows: 37, cols: cols(layout)[1], bias: true, ..plain }.case(caps));
    }
    for layout in [Layout::F32, Layout::Ga4Sym, Layout::Ga6K] {
        let [tiny, odd] = cols(layout);
        cases.push(Shape { layout, rows: 5, cols: tiny, ..plain }.case(caps));
        let base = Shape { layout, cols: odd, ..Shape::default() };
        cases.push(Shape { rows: 39, tokens: 4, bias: true, ..base }.case(caps));
        cases.push(Shape { rows: 70, norm: true, last_row: true, part_rows: 30, ..base }.case(caps));
    }
    for (lanes, groups, rows8) in [(8, 8, false), (16, 4, true), (32, 2, false), (64, 1, true), (64, 2, false)] {
        let teams = Some(Teams { lanes, groups });
        let base = Shape { layout: Layout::Ga4Sym, rows: 75, cols: 320, teams, ..Shape::default() };
        cases.push(Shape { rows8, accumulate: true, ..base }.case(caps));
        let other = if rows8 { Shape { rows8, norm: true, ..base } } else { Shape { tokens: 2, ..base } };
        cases.push(other.case(caps));
    }
    // More workgroups than one grid dimension allows.
    let teams = Some(Teams { lanes: 64, groups: 1 });
    cases.push(
        Shape { layout: Layout::F32, rows: 65_535 * 4 + 9, cols: 4, teams, accumulate: true, ..plain }.case(caps),
    );
    for (layout, rows, n_heads, head_dim, row, window, n_splits) in [
        (Layout::F32, 2050, 3, 20, 10, None, 1), // more rows per workgroup
        (Layout::Bf16, 50, 3, 20, 255, Some(100), 16),
        (Layout::Ga4Sym, 50, 17, 64, 700, None, 1), // more than one tile of columns
        (Layout::Ga4Sym, 50, 17, 64, 700, None, 16),
        (Layout::Ga8Sym, 50, 4, 8, 63, None, 16),
        (Layout::Ga4K, 50, 4, 64, 300, Some(128), 16),
        (Layout::Ga6K, 50, 1, 256, 5000, Some(129), 16),
        (Layout::Ga4Aff, 50, 3, 64, 90, None, 16),
        (Layout::Ga5Sym, 50, 4, 8, 100, None, 16),
        (Layout::Ga5Aff, 50, 5, 64, 400, Some(200), 16),
        // Splits that are no multiple of eight, and too many statistics for workgroup memory.
        (Layout::F16, 50, 5, 12, 2000, None, 11),
        (Layout::F32, 30, 128, 8, 2000, None, 16),
    ] {
        let merge = Merge {
            layout,
            rows,
            n_heads,
            head_dim,
            n_splits,
            row,
            window,
            bias: false,
            accumulate: true,
            tuning: None,
        };
        cases.push(merge.case(caps));
    }
    cases
}

/// Two workgroups, the second not full; of a matrix in two parts the second.
pub(super) fn for_variant(variant: &Variant) -> Case {
    let layout = variant.layout.expect("matvec has a layout");
    let teams = Teams { lanes: variant.get("LANES"), groups: variant.get("GROUPS") };
    let tuning = Tuning { teams, rows8: variant.has("ROWS8") };
    let (rows, bias) = (tuning.rows_per_workgroup() + 5, variant.has("BIAS"));
    let caps = caps_of(variant);
    if variant.has("MERGE") {
        let (n_heads, head_dim) = (variant.get("N_HEADS"), variant.get("HEAD_DIM"));
        let n_splits = variant.get("MAX_SPLITS");
        // All splits but one are live.
        let (row, window, tuning) = (64 * (n_splits.max(2) - 1) - 7, None, Some(tuning));
        let accumulate = variant.has("ACCUMULATE");
        let merge = Merge { layout, rows, n_heads, head_dim, n_splits, row, window, bias, accumulate, tuning };
        return merge.case(&caps);
    }
    let shape = Shape {
        layout,
        rows: 2 * rows,
        part_rows: rows,
        cols: cols_for(layout, teams.lanes),
        tokens: variant.get("M"),
        norm: variant.has("NORM"),
        bias,
        accumulate: variant.has("ACCUMULATE"),
        last_row: variant.has("LAST_ROW"),
        rows8: tuning.rows8,
        teams: Some(teams),
    };
    shape.case(&caps)
}

/// Rows have a norm of about 1, so outputs are as large as x: about 2, up to 60. Against f64, f32 sums of K products in
/// any order err by a few ULP of the largest partial sum.
const ATOL: f32 = 5e-6;
/// x has a root mean square of 1 here, its weight about 2 and spikes up to 60 that may meet spikes of x.
const NORM_ATOL: f32 = 1.5e-5;
/// See `ATOL`.
const RTOL: f32 = 2e-6;

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
        let mut f = Fixture::default();
        let mut rng = Rng::new(2);
        let matrix = f.matrix(self.layout, self.rows, self.cols, self.part_rows.min(self.rows), 1);
        let stride = common::stride(self.cols);
        // Fewer live tokens than the bucket holds, and more when only the last counts.
        let live = if self.last_row { 3 } else { self.tokens - self.tokens / 3 };
        let x = f.activations(live.max(self.tokens), self.cols, &mut rng);
        let weight = f.f32s(&rng.spiky(self.cols as usize));
        let input = match self.norm {
            true => Input::Norm { x, stride, weight, eps: 1e-5 },
            false => Input::Plain { x, stride },
        };
        let (out_stride, out_column) = (self.rows + 3, 2);
        let out_len = ((self.tokens - 1) * out_stride + out_column + self.rows) as usize;
        let out = match self.accumulate {
            true => f.f32s_with_margin(&rng.spiky(out_len)),
            false => f.output(out_len),
        };
        let bias = f.f32s(&rng.spiky(self.rows as usize));
        let state = f.state(17, live);
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
        let mut tuning = select(&args);
        tuning.rows8 = self.rows8;
        tuning.teams = self.teams.unwrap_or(tuning.teams);
        let label = format!("rows {}..{} x {}", args.part.row_start, self.rows, self.cols);
        f.case(step_with(caps, &label, &args, tuning), if self.norm { NORM_ATOL } else { ATOL }, RTOL)
    }
}

/// Attention output to be joined, then multiplied.
struct Merge {
    layout: Layout,
    rows: u32,
    n_heads: u32,
    head_dim: u32,
    n_splits: u32,
    row: u32,
    window: Option<u32>,
    bias: bool,
    accumulate: bool,
    tuning: Option<Tuning>,
}

impl Merge {
    fn case(self, caps: &Caps) -> Case {
        let Merge { rows, n_heads, head_dim, n_splits, row, window, .. } = self;
        let mut f = Fixture::default();
        let mut rng = Rng::new(2);
        let cols = n_heads * head_dim;
        let matrix = f.matrix(self.layout, rows, cols, rows, 1);
        let partials = f.f32s(&rng.spiky((n_splits * cols) as usize + 32));
        // Maxima about +-60 (one split dominates, others all but vanish), sums above 0.
        let mut stats: Vec<f32> = rng
            .spiky((n_splits * n_heads * 2) as usize)
            .iter()
            .enumerate()
            .map(|(i, v)| if i % 2 == 0 { v * 1.5 } else { 1.0 + v.abs() })
            .collect();
        if n_splits > 1 {
            // The first head has no key in the second split.
            let at = 2 * n_heads as usize;
            stats[at..at + 2].copy_from_slice(&[-3.0e38, 0.0]);
        }
        let stats = f.f32s(&stats);
        let state = f.state(row, 1);
        let bias = f.f32s(&rng.spiky(rows as usize));
        let out = match self.accumulate {
            true => f.f32s_with_margin(&rng.spiky(rows as usize)),
            false => f.output(rows as usize),
        };
        let args = Args {
            matrix: &matrix,
            part: &matrix.parts[0],
            input: Input::Merge { partials, stats, n_splits, n_heads, head_dim, window },
            state,
            bias: self.bias.then_some(bias),
            accumulate: self.accumulate,
            out,
            out_stride: rows,
            out_column: 0,
            n_tokens: 1,
            last_row: false,
        };
        let label = format!("{n_heads} heads of {head_dim}, {n_splits} splits, row {row}, window {window:?}");
        let tuning = self.tuning.unwrap_or_else(|| select(&args));
        f.case(step_with(caps, &label, &args, tuning), ATOL, RTOL)
    }
}
