//! From the residual stream to logits and the next token.

use super::super::buffers::RING;
use super::super::load::Linear;
use super::linear::Target;
use super::{Pass, Planner};
use crate::kernels::{Matrix, matvec, sample, sample_reduce};

impl Pass<'_> {
    fn output_matrix(&self) -> &Matrix {
        let weights = self.planner.weights;
        weights.output.as_ref().unwrap_or(&weights.embed)
    }

    /// Logits of every position.
    pub(super) fn all_logits(&mut self) {
        let Planner { spec, weights, buffers: b, .. } = self.planner;
        let input = self.input("output.norm", Some(weights.final_norm));
        let linear = Linear { matrix: self.output_matrix().clone(), bias: None };
        let to = Target { out: b.logits, stride: spec.vocab_size, column: 0, accumulate: false };
        self.linear("output", &linear, input, to);
    }

    /// Logits of the last position of the pass.
    pub(super) fn last_logits(&mut self) {
        let Planner { spec, weights, buffers: b, caps, .. } = self.planner;
        let matrix = self.output_matrix().clone();
        for part in &matrix.parts {
            let args = matvec::Args {
                matrix: &matrix,
                part,
                input: matvec::Input::Norm {
                    x: b.x,
                    stride: b.widths.model,
                    weight: weights.final_norm,
                    eps: spec.rms_norm_eps,
                },
                state: b.state,
                bias: None,
                accumulate: false,
                out: b.logits,
                out_stride: spec.vocab_size,
                out_column: 0,
                n_tokens: 1,
                last_row: true,
            };
            self.steps.push(matvec::step(caps, "output", &args));
        }
    }

    /// Draws the next token and advances the step state.
    pub(super) fn sample(&mut self) {
        let Planner { spec, buffers: b, caps, .. } = self.planner;
        let vocab_size = spec.vocab_size;
        let args =
            sample_reduce::Args { logits: b.logits, vocab_size, seen: b.seen, sampling: b.sampling, chunks: b.chunks };
        self.steps.push(sample_reduce::step(caps, "sample.reduce", &args));
        let args = sample::Args {
            logits: b.logits,
            vocab_size,
            chunks: b.chunks,
            sampling: b.sampling,
            state: b.state,
            ids: b.ids,
            seen: b.seen,
            ring: b.ring,
            ring_len: RING,
        };
        self.steps.push(sample::step(caps, "sample", &args));
    }
}
