//! Test cases of gate and up.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of, cols, cols_for};
use crate::kernels::common::Teams;
use crate::kernels::gate_up::{Args, step_with};
use crate::kernels::{Activation, Caps, Variant};
use crate::weights::Layout;

/// Tiny and unaligned shapes, and every width of teams.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    use Activation::{GeluTanh, Relu, Silu};
    let mut cases = Vec::new();
    let mut add = |layout: Layout, d_ff: u32, cols: u32, activation, bias| {
        let teams = Teams::select(layout.row_code_words(cols) / 4, d_ff);
        cases.push(case(caps, layout, d_ff, cols, activation, bias, teams));
    };
    for &layout in Layout::ALL {
        add(layout, 50, cols(layout)[1], GeluTanh, true);
    }
    for layout in [Layout::F32, Layout::Ga4Sym, Layout::Ga6K] {
        add(layout, 3, cols(layout)[0], Silu, false);
    }
    for (lanes, groups) in [(8, 8), (16, 4), (32, 2), (64, 1)] {
        cases.push(case(caps, Layout::Ga8Sym, 37, 320, Relu, groups > 2, Teams { lanes, groups }));
    }
    cases
}

/// Two workgroups, the second not full.
pub(super) fn for_variant(variant: &Variant) -> Case {
    let layout = variant.layout.expect("gate_up has a layout");
    let teams = Teams { lanes: variant.get("LANES"), groups: variant.get("GROUPS") };
    let (d_ff, cols) = (4 * teams.groups + 5, cols_for(layout, teams.lanes));
    case(&caps_of(variant), layout, d_ff, cols, Activation::of(variant), variant.has("BIAS"), teams)
}

/// Factors are about 3 in size and up to 30; each is the f32 sum of K products and multiplies the other's error.
const ATOL: f32 = 1e-4;
/// See `ATOL`.
const RTOL: f32 = 3e-6;

fn case(caps: &Caps, layout: Layout, d_ff: u32, cols: u32, activation: Activation, bias: bool, teams: Teams) -> Case {
    let mut f = Fixture::default();
    let mut rng = Rng::new(2);
    let matrix = f.matrix(layout, 2 * d_ff, cols, 2 * d_ff, 1);
    let x = f.activations(1, cols, &mut rng);
    let norm_weight = f.f32s(&rng.spiky(cols as usize));
    let biases = f.f32s(&rng.spiky(2 * d_ff as usize));
    let out = f.output(d_ff as usize);
    let args = Args { matrix: &matrix, x, norm_weight, eps: 1e-6, bias: bias.then_some(biases), activation, out };
    let label = format!("{d_ff}x{cols}, {teams:?}");
    f.case(step_with(caps, &label, &args, teams), ATOL, RTOL)
}
