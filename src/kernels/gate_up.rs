//! One decode token: out = activation(W_gate n + b_gate) * (W_up n + b_up), n = RMSNorm(x) * weight.

use super::common::{self, Teams, Tuning, WeightParams};
use super::params::{self, Field, params};
use super::{Access, Kernel, Slot, Variant, reference};
use super::{Activation, Bind, Caps, Matrix, Step};

/// What to do. The matrix stacks [gate; up]: 2*d_ff rows, one part.
pub struct Args<'a> {
    /// Weights [2*d_ff, d_model].
    pub matrix: &'a Matrix,
    /// f32 [1, d_model]
    pub x: Bind,
    /// f32 [d_model]
    pub norm_weight: Bind,
    /// rms_norm_eps
    pub eps: f32,
    /// f32 [2*d_ff], or None.
    pub bias: Option<Bind>,
    /// Of the gate.
    pub activation: Activation,
    /// f32 [d_ff]
    pub out: Bind,
}

params! {
    /// As in the shader.
    struct Params {
        weights: WeightParams,
        d_ff: u32,
        eps: f32,
    }
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    let chunks = args.matrix.layout.row_code_words(args.matrix.cols) / 4;
    step_with(caps, label, args, Teams::select(chunks, args.matrix.rows.div_ceil(8)))
}

/// Builds the step with a given work distribution (tests, tuning).
pub fn step_with(caps: &Caps, label: &str, args: &Args<'_>, teams: Teams) -> Step {
    let tuning = Tuning { teams, rows8: true }; // 4 of gate, 4 of up
    let matrix = args.matrix;
    let params = Params {
        weights: WeightParams::new(matrix.layout, matrix.rows, matrix.cols),
        d_ff: matrix.rows / 2,
        eps: args.eps,
    };
    let variant = common::variant("gate_up", caps, matrix.layout)
        .flag("NORM", true)
        .flag("BIAS", args.bias.is_some())
        .flag(args.activation.flag(), true);
    let part = &matrix.parts[0];
    let mut bindings = vec![part.codes, part.meta, args.x, args.norm_weight, args.out];
    bindings.extend(args.bias);
    Step {
        kernel: &GateUp,
        label: label.to_string(),
        variant: tuning.define(variant),
        params: params::encode(&params),
        bindings,
        grid: common::fold_grid(params.d_ff.div_ceil(4 * teams.groups)),
    }
}

/// The kernel.
pub struct GateUp;

impl Kernel for GateUp {
    fn stem(&self) -> &'static str {
        "gate_up"
    }

    fn access(&self, variant: &Variant) -> Vec<Access> {
        let mut access = vec![Access::Read, Access::Read, Access::Read, Access::Read, Access::ReadWrite];
        if variant.has("BIAS") {
            access.push(Access::Read);
        }
        access
    }

    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }

    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let layout = variant.layout.expect("gate_up has a layout");
        let activation = Activation::of(variant);
        let cols = p.weights.cols as usize;
        let n = reference::rms_norm(&io[2].f32s()[..cols], &io[3].f32s()[..cols], p.eps);
        for j in 0..p.d_ff {
            let y = |r: u32, io: &[Slot<'_>]| {
                let row = reference::row(layout, io[0].words(), io[1].words(), 2 * p.d_ff, p.weights.cols, r);
                let bias = if variant.has("BIAS") { io[5].f32s()[r as usize] } else { 0.0 };
                reference::dot(&row, &n) + f64::from(bias)
            };
            let (gate, up) = (y(j, io), y(p.d_ff + j, io));
            io[4].f32s_mut()[j as usize] = (activation.apply(gate) * up) as f32;
        }
    }
}
