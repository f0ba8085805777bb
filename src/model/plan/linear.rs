//! Linear layers, norms, and how a branch joins the residual stream.

use super::super::load::Linear;
use super::{Pass, Planner};
use crate::kernels::{Bind, matmul, matvec, rms_norm};

/// Where a linear layer writes.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub out: Bind,
    pub stride: u32,
    pub column: u32,
    pub accumulate: bool,
}

impl Pass<'_> {
    /// The residual stream through a norm, or as it is: in decode a prologue of the next kernel, in prefill a step.
    pub(super) fn input(&mut self, label: &str, norm: Option<Bind>) -> matvec::Input {
        let Planner { spec, buffers: b, .. } = self.planner;
        let stride = b.widths.model;
        match norm {
            None => matvec::Input::Plain { x: b.x, stride },
            Some(weight) if self.is_decode() => matvec::Input::Norm { x: b.x, stride, weight, eps: spec.rms_norm_eps },
            Some(weight) => {
                self.norm(label, b.x, weight, b.normed, false);
                matvec::Input::Plain { x: b.normed, stride }
            }
        }
    }

    /// The end of a branch: its linear layer, through a norm where there is one, added to the residual stream.
    pub(super) fn join(&mut self, label: &str, linear: &Linear, input: matvec::Input, norm: Option<Bind>) {
        let b = self.planner.buffers;
        let to = |out, accumulate| Target { out, stride: b.widths.model, column: 0, accumulate };
        match norm {
            None => self.linear(label, linear, input, to(b.x, true)),
            Some(weight) => {
                self.linear(label, linear, input, to(b.branch, false));
                self.norm(&format!("{label}.norm"), b.branch, weight, b.x, true);
            }
        }
    }

    /// RMSNorm of rows of the residual width.
    pub(super) fn norm(&mut self, label: &str, x: Bind, weight: Bind, out: Bind, accumulate: bool) {
        let Planner { spec, buffers: b, caps, .. } = self.planner;
        let args = rms_norm::Args {
            x,
            x_stride: b.widths.model,
            weight,
            out,
            out_stride: b.widths.model,
            accumulate,
            state: b.state,
            d_model: spec.d_model,
            eps: spec.rms_norm_eps,
            n_tokens: self.n_tokens,
        };
        self.steps.push(rms_norm::step(caps, label, &args));
    }

    /// One dispatch per row part: mat-vec for up to eight tokens, GEMM beyond.
    pub(super) fn linear(&mut self, label: &str, linear: &Linear, input: matvec::Input, to: Target) {
        let Planner { buffers: b, caps, .. } = self.planner;
        let n_tokens = self.n_tokens;
        for part in &linear.matrix.parts {
            if n_tokens <= 8 {
                let args = matvec::Args {
                    matrix: &linear.matrix,
                    part,
                    input,
                    state: b.state,
                    bias: linear.bias,
                    accumulate: to.accumulate,
                    out: to.out,
                    out_stride: to.stride,
                    out_column: to.column,
                    n_tokens,
                    last_row: false,
                };
                self.steps.push(matvec::step(caps, label, &args));
            } else {
                let matvec::Input::Plain { x, stride } = input else {
                    unreachable!("prologues exist in decode only");
                };
                let args = matmul::Args {
                    matrix: &linear.matrix,
                    part,
                    x,
                    x_stride: stride,
                    state: b.state,
                    bias: linear.bias,
                    accumulate: to.accumulate,
                    out: to.out,
                    out_stride: to.stride,
                    out_column: to.column,
                    n_tokens,
                };
                self.steps.push(matmul::step(caps, label, &args));
            }
        }
    }
}
