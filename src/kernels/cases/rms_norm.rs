//! Test cases of the norm.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of};
use crate::kernels::rms_norm::{Args, step};
use crate::kernels::{Caps, Variant};

/// Fewer columns than threads and more, strides beyond the columns, dead tokens.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    // d_model, x_stride, out_stride, tokens, bucket, accumulate
    let shapes = [
        (4, 4, 4, 1, 1, false),
        (128, 128, 128, 2, 2, false),
        (576, 576, 640, 5, 8, false),
        (640, 672, 640, 5, 8, true),
        (2048, 2080, 2048, 2, 2, false),
    ];
    shapes
        .map(|(d_model, x_stride, out_stride, tokens, bucket, accumulate)| {
            case(caps, d_model, [x_stride, out_stride], tokens, bucket, accumulate)
        })
        .into()
}

pub(super) fn for_variant(variant: &Variant) -> Case {
    case(&caps_of(variant), 100, [104, 108], 3, 4, variant.has("ACCUMULATE"))
}

fn case(
    caps: &Caps,
    d_model: u32,
    [x_stride, out_stride]: [u32; 2],
    tokens: u32,
    bucket: u32,
    accumulate: bool,
) -> Case {
    let mut f = Fixture::default();
    let mut rng = Rng::new(u64::from(d_model));
    let mut x = rng.spiky((bucket * x_stride) as usize);
    x[..d_model as usize].fill(1e-4); // eps matters in the first row
    let n_out = (bucket * out_stride) as usize;
    let args = Args {
        x: f.f32s(&x),
        x_stride,
        weight: f.f32s(&rng.spiky(d_model as usize)),
        out: if accumulate { f.f32s_with_margin(&rng.spiky(n_out)) } else { f.output(n_out) },
        out_stride,
        accumulate,
        state: f.state(7, tokens),
        d_model,
        eps: 1e-5,
        n_tokens: bucket,
    };
    // f32 throughout; inverseSqrt is good to 2 ULP; a sum with old values of up to 60 may cancel
    let atol = if accumulate { 1e-5 } else { 1e-7 };
    f.case(step(caps, &format!("{tokens} rows of {d_model}"), &args), atol, 4e-6)
}
