//! The gated FFN: gate and up with the activation, then down.

use super::super::load::{DenseWeights, FfnWeights, GateUp, NormWeights};
use super::super::spec::{DenseFfn, Ffn};
use super::linear::Target;
use super::{Pass, Planner};
use crate::kernels::{gate_up, glu, matvec};

impl Pass<'_> {
    /// A layer's FFN, from and to the residual stream.
    pub(super) fn ffn(&mut self, i: usize, spec: &Ffn, weights: &FfnWeights, norms: &NormWeights) {
        match (spec, weights) {
            (Ffn::Dense(spec), FfnWeights::Dense(w)) => self.dense_ffn(i, spec, w, norms),
        }
    }

    /// Two dispatches in decode when gate and up are stacked.
    fn dense_ffn(&mut self, i: usize, spec: &DenseFfn, w: &DenseWeights, norms: &NormWeights) {
        let Planner { spec: model, buffers: b, caps, .. } = self.planner;
        let label = |what: &str| format!("layer{i}.ffn.{what}");
        match (&w.gate_up, norms.before_ffn) {
            (GateUp::Fused(linear), Some(norm_weight)) if self.is_decode() => {
                let args = gate_up::Args {
                    matrix: &linear.matrix,
                    x: b.x,
                    norm_weight,
                    eps: model.rms_norm_eps,
                    bias: linear.bias,
                    activation: spec.activation,
                    out: b.activated,
                };
                self.steps.push(gate_up::step(caps, &label("gate_up"), &args));
            }
            (weights, norm) => {
                let input = self.input(&label("norm"), norm);
                let to = |column| Target { out: b.gate_up, stride: b.widths.gate_up, column, accumulate: false };
                match weights {
                    GateUp::Fused(linear) => self.linear(&label("gate_up"), linear, input, to(0)),
                    GateUp::Split { gate, up } => {
                        self.linear(&label("gate"), gate, input, to(0));
                        self.linear(&label("up"), up, input, to(spec.d_ff));
                    }
                }
                let args = glu::Args {
                    gate_up: b.gate_up,
                    in_stride: b.widths.gate_up,
                    out: b.activated,
                    out_stride: b.widths.ff,
                    state: b.state,
                    d_ff: spec.d_ff,
                    activation: spec.activation,
                    n_tokens: self.n_tokens,
                };
                self.steps.push(glu::step(caps, &label("glu"), &args));
            }
        }
        let activated = matvec::Input::Plain { x: b.activated, stride: b.widths.ff };
        self.join(&label("down"), &w.down, activated, norms.after_ffn);
    }
}
