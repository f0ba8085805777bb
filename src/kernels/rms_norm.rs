//! out[t] (+)= x[t] * rsqrt(mean(x[t]^2) + eps) * weight, for t < state.n_tokens: norms before a mixer or FFN in
//! prefill, and those after one, which are added to the residual.

use super::params::{self, Field, params};
use super::{Access, Bind, Caps, Kernel, Slot, Step, StepState, Variant};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, x_stride]
    pub x: Bind,
    /// Row stride of x in elements, a multiple of 4.
    pub x_stride: u32,
    /// f32 [d_model]
    pub weight: Bind,
    /// f32 [n_tokens, out_stride]; another buffer than x.
    pub out: Bind,
    /// Row stride of out in elements, a multiple of 4.
    pub out_stride: u32,
    /// Add to the old contents of `out` (residual) instead of overwriting them.
    pub accumulate: bool,
    /// `StepState`
    pub state: Bind,
    /// Columns, a multiple of 4.
    pub d_model: u32,
    /// rms_norm_eps
    pub eps: f32,
    /// Bucket.
    pub n_tokens: u32,
}

params! {
    /// As in the shader.
    struct Params {
        columns4: u32,
        x_stride4: u32,
        out_stride4: u32,
        eps: f32,
        inv_columns: f32,
    }
}

/// Builds the step. One small workgroup per token: a wide one spends its time in barriers.
pub fn step(caps: &Caps, label: &str, args: &Args) -> Step {
    assert!(
        [args.d_model, args.x_stride, args.out_stride].iter().all(|n| n.is_multiple_of(4)),
        "{label}: rms_norm needs d_model {}, x_stride {} and out_stride {} in fours",
        args.d_model,
        args.x_stride,
        args.out_stride
    );
    let params = Params {
        columns4: args.d_model / 4,
        x_stride4: args.x_stride / 4,
        out_stride4: args.out_stride / 4,
        eps: args.eps,
        inv_columns: 1.0 / args.d_model as f32,
    };
    Step {
        kernel: &RmsNorm,
        label: label.to_string(),
        variant: Variant::new("rms_norm", &Caps { f16: false, ..*caps })
            .flag("ACCUMULATE", args.accumulate)
            .constant("WG", 128),
        params: params::encode(&params),
        bindings: vec![args.x, args.weight, args.state, args.out],
        grid: [args.n_tokens, 1, 1],
    }
}

/// The kernel.
pub struct RmsNorm;

impl Kernel for RmsNorm {
    fn stem(&self) -> &'static str {
        "rms_norm"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        vec![Access::Read, Access::Read, Access::Read, Access::ReadWrite]
    }
    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let [x, weight, state, out] = io else { panic!("rms_norm has 4 bindings") };
        let [d_model, x_stride, out_stride] = [p.columns4, p.x_stride4, p.out_stride4].map(|n| 4 * n as usize);
        for t in 0..StepState::from_words(state.words()).n_tokens as usize {
            let row = &x.f32s()[t * x_stride..][..d_model];
            let mean = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / d_model as f64;
            let gain = 1.0 / (mean + f64::from(p.eps)).sqrt();
            for (c, &v) in row.iter().enumerate() {
                let out = &mut out.f32s_mut()[t * out_stride + c];
                let old = if variant.has("ACCUMULATE") { f64::from(*out) } else { 0.0 };
                *out = (old + f64::from(v) * gain * f64::from(weight.f32s()[c])) as f32;
            }
        }
    }
}
