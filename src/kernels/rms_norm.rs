//! out[t] = x[t] * rsqrt(mean(x[t]^2) + eps) * weight, for t < state.n_tokens (prefill).

use super::{Access, Bind, Caps, Kernel, Slot, Step, StepState, Variant};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, stride]
    pub x: Bind,
    /// f32 [d_model]
    pub weight: Bind,
    /// f32 [n_tokens, stride]
    pub out: Bind,
    /// `StepState`
    pub state: Bind,
    /// Columns, a multiple of 4.
    pub d_model: u32,
    /// Row stride of x and out in elements, a multiple of 4.
    pub stride: u32,
    /// rms_norm_eps
    pub eps: f32,
    /// Bucket.
    pub n_tokens: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    columns4: u32,
    stride4: u32,
    eps: f32,
    inv_columns: f32,
}

/// Builds the step. One small workgroup per token: a wide one spends its time in barriers.
pub fn step(caps: &Caps, label: &str, args: &Args) -> Step {
    assert!(
        args.d_model.is_multiple_of(4) && args.stride.is_multiple_of(4),
        "rms_norm needs d_model {} and stride {} in fours",
        args.d_model,
        args.stride
    );
    let params = Params {
        columns4: args.d_model / 4,
        stride4: args.stride / 4,
        eps: args.eps,
        inv_columns: 1.0 / args.d_model as f32,
    };
    Step {
        kernel: &RmsNorm,
        label: label.to_string(),
        variant: Variant::new("rms_norm", &Caps { f16: false, ..*caps }).constant("WG", 128),
        params: bytemuck::bytes_of(&params).to_vec(),
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
    fn params_bytes(&self) -> usize {
        size_of::<Params>()
    }
    fn reference(&self, _variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = bytemuck::pod_read_unaligned(params);
        let [x, weight, state, out] = io else { panic!("rms_norm has 4 bindings") };
        let (d_model, stride) = (4 * p.columns4 as usize, 4 * p.stride4 as usize);
        for t in 0..StepState::from_words(state.words()).n_tokens as usize {
            let row = &x.f32s()[t * stride..][..d_model];
            let mean = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / d_model as f64;
            let gain = 1.0 / (mean + f64::from(p.eps)).sqrt();
            for (c, &v) in row.iter().enumerate() {
                out.f32s_mut()[t * stride + c] = (f64::from(v) * gain * f64::from(weight.f32s()[c])) as f32;
            }
        }
    }
}
