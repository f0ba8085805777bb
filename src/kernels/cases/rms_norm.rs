//! Test cases of the norm.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of};
use crate::kernels::rms_norm::{Args, step};
use crate::kernels::{Caps, Variant};

/// Fewer columns than threads and more, strides beyond the columns, dead tokens.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    // d_model, stride, tokens, bucket
    let shapes = [(4, 4, 1, 1), (128, 128, 2, 2), (576, 576, 5, 8), (2048, 2080, 2, 2)];
    shapes.map(|(d_model, stride, tokens, bucket)| case(caps, d_model, stride, tokens, bucket)).into()
}

pub(super) fn for_variant(variant: &Variant) -> Case {
    case(&caps_of(variant), 100, 104, 3, 4)
}

fn case(caps: &Caps, d_model: u32, stride: u32, tokens: u32, bucket: u32) -> Case {
    let mut f = Fixture::default();
    let mut rng = Rng::new(u64::from(d_model));
    let mut x = rng.spiky((bucket * stride) as usize);
    x[..d_model as usize].fill(1e-4); // eps matters in the first row
    let args = Args {
        x: f.f32s(&x),
        weight: f.f32s(&rng.spiky(d_model as usize)),
        out: f.output((bucket * stride) as usize),
        state: f.state(7, tokens),
        d_model,
        stride,
        eps: 1e-5,
        n_tokens: bucket,
    };
    // f32 throughout; inverseSqrt is good to 2 ULP
    f.case(step(caps, &format!("{tokens} rows of {d_model}"), &args), 1e-7, 4e-6)
}
