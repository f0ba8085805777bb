//! out[t] = table[ids[t]] * scale for the t < state.n_tokens whose id lies in this part of the table.

use super::common::{self, WeightParams};
use super::fixture::Fixture;
use super::params::{self, Field, params};
use super::{Access, Case, Kernel, OutputKind, Slot, StepState, Variant, reference};
use super::{Bind, Caps, Matrix, MatrixPart, Step};
use crate::weights::Layout;

/// What to do.
pub struct Args<'a> {
    /// Embedding table.
    pub table: &'a Matrix,
    /// The part of it this dispatch serves (one dispatch per part; rows of other parts are left alone).
    pub part: &'a MatrixPart,
    /// u32 [n_tokens]
    pub ids: Bind,
    /// `StepState`
    pub state: Bind,
    /// u32 [vocab_size]: `seen[id] = 1` is stored for every id, for the repetition penalty.
    pub seen: Bind,
    /// f32 [n_tokens, out_stride]
    pub out: Bind,
    /// Row stride of `out` in elements, a multiple of 32 and >= cols.
    pub out_stride: u32,
    /// Multiplies every row.
    pub scale: f32,
    /// Bucket: the largest n_tokens.
    pub n_tokens: u32,
}

params! {
    /// As in the shader.
    struct Params {
        weights: WeightParams,
        rows: u32,
        row_start: u32,
        out_quads: u32,
        scale: f32,
    }
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    let (table, part) = (args.table, args.part);
    let params = Params {
        weights: WeightParams::new(table.layout, part.rows, table.cols),
        rows: part.rows,
        row_start: part.row_start,
        out_quads: args.out_stride / 4,
        scale: args.scale,
    };
    Step {
        kernel: &Embed,
        label: label.to_string(),
        variant: common::variant("embed", caps, table.layout),
        params: params::encode(&params),
        bindings: vec![part.codes, part.meta, args.ids, args.state, args.seen, args.out],
        grid: [params.weights.chunks.div_ceil(64), args.n_tokens, 1],
    }
}

/// The kernel.
pub struct Embed;

impl Kernel for Embed {
    fn stem(&self) -> &'static str {
        "embed"
    }

    fn access(&self, _variant: &Variant) -> Vec<Access> {
        use Access::{Read, ReadWrite};
        vec![Read, Read, Read, Read, ReadWrite, ReadWrite]
    }

    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }

    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let layout = variant.layout.expect("embed has a layout");
        let n_tokens = StepState::from_words(io[3].words()).n_tokens;
        for token in 0..n_tokens {
            let id = io[2].words()[token as usize];
            if !(p.row_start..p.row_start + p.rows).contains(&id) {
                continue;
            }
            io[4].words_mut()[id as usize] = 1;
            let row = reference::row(layout, io[0].words(), io[1].words(), p.rows, p.weights.cols, id - p.row_start);
            let out = &mut io[5].f32s_mut()[(token * p.out_quads * 4) as usize..];
            out[..common::stride(p.weights.cols) as usize].fill(0.0);
            for (o, v) in out.iter_mut().zip(row) {
                *o = (v * f64::from(p.scale)) as f32;
            }
        }
    }

    fn cases(&self, caps: &Caps) -> Vec<Case> {
        let mut cases = Vec::new();
        for &layout in common::test_layouts(caps) {
            let [tiny, odd, real] = common::test_cols(layout);
            for (cols, n_tokens, part_rows) in [(tiny, 1, 50), (odd, 9, 13), (real, 5, 50)] {
                for part in 0..50u32.div_ceil(part_rows) {
                    cases.push(case(caps, layout, cols, n_tokens, part_rows, part as usize));
                }
            }
        }
        cases
    }
}

/// One product or, for layouts with minima, one difference of products in f32.
const TOLERANCE: f32 = 1e-6;

/// 50 rows in parts; of a bucket of `n_tokens` the last is not live (except of 1); two tokens share an id.
fn case(caps: &Caps, layout: Layout, cols: u32, n_tokens: u32, part_rows: u32, part: usize) -> Case {
    let mut f = Fixture::default();

    let table = f.matrix(layout, 50, cols, part_rows, 1);
    let mut ids: Vec<u32> = (0..n_tokens).map(|t| (t * 13 + 3) % 50).collect();
    let n = ids.len();
    ids[n / 2] = ids[0];
    let ids = f.words(ids);
    let state = f.state(7, n_tokens - u32::from(n_tokens > 1));
    let seen = f.words(vec![0; 50]);
    let out_stride = common::stride(cols) + 32;
    let out = f.output((n_tokens * out_stride) as usize);
    let args =
        Args { table: &table, part: &table.parts[part], ids, state, seen, out, out_stride, scale: 1.5, n_tokens };
    let label = format!("{cols} columns, {n_tokens} tokens, part {part}");
    f.case(step(caps, &label, &args), OutputKind::U32ThenF32, TOLERANCE, TOLERANCE)
}
