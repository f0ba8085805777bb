//! Test cases of the activation.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of};
use crate::kernels::glu::{Args, step};
use crate::kernels::{Activation, Caps, Variant};

/// Strides beyond the columns, dead tokens, more than a workgroup.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    let each = [Activation::Silu, Activation::GeluTanh, Activation::Relu];
    let cases = each.map(|a| [case(caps, a, 4, (8, 4), 1, 1), case(caps, a, 1536, (3072, 1536), 2, 2)]);
    cases.into_iter().flatten().collect()
}

pub(super) fn for_variant(variant: &Variant) -> Case {
    case(&caps_of(variant), Activation::of(variant), 100, (208, 112), 3, 4)
}

fn case(
    caps: &Caps,
    activation: Activation,
    d_ff: u32,
    (in_stride, out_stride): (u32, u32),
    tokens: u32,
    bucket: u32,
) -> Case {
    let mut f = Fixture::default();
    let mut x = Rng::new(u64::from(d_ff)).spiky((bucket * in_stride) as usize);
    x[0] = 150.0; // exp(x) is beyond f32
    x[1] = -150.0;
    let args = Args {
        gate_up: f.f32s(&x),
        in_stride,
        out: f.output((bucket * out_stride) as usize),
        out_stride,
        state: f.state(3, tokens),
        d_ff,
        activation,
        n_tokens: bucket,
    };
    // WGSL allows exp an error of 3 + 2|x| ULP; 1 + tanh cancels for negative gates, hence atol
    f.case(step(caps, &format!("{tokens} rows of {d_ff}"), &args), 1e-5, 1e-5)
}
