//! out[t] = table[ids[t]] * scale for the t < state.n_tokens whose id lies in this part of the table.

use super::common::{self, WeightParams};
use super::params::{self, Field, params};
use super::{Access, Kernel, OutputKind, Slot, StepState, Variant, reference};
use super::{Bind, Caps, Matrix, MatrixPart, Step};

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
        // No sums: one text for all tiers.
        variant: common::variant("embed", &Caps { subgroups: false, ..*caps }, table.layout),
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

    fn outputs(&self, _variant: &Variant) -> OutputKind {
        OutputKind::U32ThenF32
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
}
