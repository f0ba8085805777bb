//! Prefill: out[t, j] = activation(gate[t, j]) * up[t, j], for t < state.n_tokens.

use super::params::{self, Field, params};
use super::{Access, Activation, Bind, Caps, Kernel, Slot, Step, StepState, Variant};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, in_stride]: row = [gate; up], up starts at column d_ff.
    pub gate_up: Bind,
    /// Row stride of `gate_up` in elements.
    pub in_stride: u32,
    /// f32 [n_tokens, out_stride]
    pub out: Bind,
    /// Row stride of `out` in elements.
    pub out_stride: u32,
    /// `StepState`
    pub state: Bind,
    /// Neurons, a multiple of 4 (so are the strides).
    pub d_ff: u32,
    /// Of the gate.
    pub activation: Activation,
    /// Bucket.
    pub n_tokens: u32,
}

params! {
    /// As in the shader.
    struct Params {
        neurons4: u32,
        in_stride4: u32,
        out_stride4: u32,
    }
}

const WG: u32 = 128;

/// Builds the step: the same on every tier.
pub fn step(_caps: &Caps, label: &str, args: &Args) -> Step {
    let dims = [args.d_ff, args.in_stride, args.out_stride];
    assert!(dims.iter().all(|d| d.is_multiple_of(4)), "glu needs d_ff, in_stride, out_stride {dims:?} in fours");
    let params = Params { neurons4: args.d_ff / 4, in_stride4: args.in_stride / 4, out_stride4: args.out_stride / 4 };
    Step {
        kernel: &Glu,
        label: label.to_string(),
        variant: Variant::new("glu", &Caps::BASE).flag(args.activation.flag(), true).constant("WG", WG),
        params: params::encode(&params),
        bindings: vec![args.gate_up, args.state, args.out],
        grid: [params.neurons4.div_ceil(WG), args.n_tokens, 1],
    }
}

/// The kernel.
pub struct Glu;

impl Kernel for Glu {
    fn stem(&self) -> &'static str {
        "glu"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        vec![Access::Read, Access::Read, Access::ReadWrite]
    }
    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let [gate_up, state, out] = io else { panic!("glu has 3 bindings") };
        let [d_ff, in_stride, out_stride] = [p.neurons4, p.in_stride4, p.out_stride4].map(|n| 4 * n as usize);
        let activation = Activation::of(variant);
        for t in 0..StepState::from_words(state.words()).n_tokens as usize {
            let row = &gate_up.f32s()[t * in_stride..];
            for j in 0..d_ff {
                out.f32s_mut()[t * out_stride + j] =
                    (activation.apply(row[j].into()) * f64::from(row[d_ff + j])) as f32;
            }
        }
    }
}
