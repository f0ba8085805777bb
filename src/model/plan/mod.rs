//! (spec, weights, buffers, session state, bucket) -> the list of steps of one forward pass. The whole model reads here.
//!
//! A [`Pass`] writes decode (one token) and prefill (a bucket of them) with the same code: what differs is that in decode
//! cheap work is recomputed in the prologue of the kernel that needs it. One file per kind of part.

mod attention;
mod ffn;
mod linear;
mod output;

pub use super::buffers::{BUCKETS, Buffers, MAX_CHUNK, bucket};
use super::load::{LayerWeights, Weights};
use super::spec::{LayerSpec, ModelSpec};
use crate::kernels::{Bind, Caps, KvType, Step, embed};

/// What comes out of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// Only the session state (all chunks of a prompt but the last).
    Nothing,
    /// The next token, drawn from the last position.
    Token,
    /// Logits of every position in [`Buffers::logits`].
    AllLogits,
}

/// Where the state of one layer lies.
#[derive(Debug, Clone, Copy)]
pub enum LayerBinds {
    /// Of an attention layer.
    Kv {
        /// Keys, rotated: `[capacity, n_kv_heads * head_dim]`
        k: Bind,
        /// Values: `[capacity, n_kv_heads * head_dim]`
        v: Bind,
        /// u32 `[n_kv_heads]`: rows of each head that are no longer there (merged or evicted). The live length of a
        /// head is `StepState::row - gone`, which is also the row of its next key.
        gone: Bind,
    },
    /// Of a recurrent layer: of a fixed size, whatever the length.
    Recurrent {
        /// Its values, in whatever shape the mixer has.
        state: Bind,
    },
}

/// Where the state of a session lies.
#[derive(Debug, Clone)]
pub struct StateBinds {
    /// One per layer.
    pub layers: Vec<LayerBinds>,
    /// Element type of keys and values.
    pub kv_type: KvType,
    /// Longest context allowed.
    pub context_length: u32,
}

/// Makes plans.
pub struct Planner<'a> {
    /// The model.
    pub spec: &'a ModelSpec,
    /// Where its weights are.
    pub weights: &'a Weights,
    /// Activations.
    pub buffers: &'a Buffers,
    /// Tables of cos and sin, one per [`ModelSpec::ropes`]: f32 `[positions, n_rot / 2, 2]`.
    pub ropes: &'a [Bind],
    /// Session state.
    pub state: &'a StateBinds,
    /// What kernels may use.
    pub caps: Caps,
}

/// A forward pass being written.
struct Pass<'a> {
    planner: &'a Planner<'a>,
    n_tokens: u32,
    steps: Vec<Step>,
}

impl Planner<'_> {
    /// The steps of one pass over up to `n_tokens` (a bucket) tokens.
    pub fn plan(&self, n_tokens: u32, output: Output) -> Vec<Step> {
        let mut pass = Pass { planner: self, n_tokens, steps: Vec::new() };
        pass.embed();
        for (i, (layer, weights)) in self.spec.layers.iter().zip(&self.weights.layers).enumerate() {
            pass.layer(i, layer, weights);
        }
        match output {
            Output::Nothing => {}
            Output::Token => {
                pass.last_logits();
                pass.sample();
            }
            Output::AllLogits => pass.all_logits(),
        }
        pass.steps
    }
}

impl Pass<'_> {
    /// One token: prologues take the place of steps.
    fn is_decode(&self) -> bool {
        self.n_tokens == 1
    }

    fn embed(&mut self) {
        let Planner { spec, weights, buffers: b, caps, .. } = self.planner;
        for part in &weights.embed.parts {
            let args = embed::Args {
                table: &weights.embed,
                part,
                ids: b.ids,
                state: b.state,
                seen: b.seen,
                out: b.x,
                out_stride: b.widths.model,
                scale: spec.embedding_scale,
                n_tokens: self.n_tokens,
            };
            self.steps.push(embed::step(caps, "embed", &args));
        }
    }

    fn layer(&mut self, i: usize, layer: &LayerSpec, weights: &LayerWeights) {
        self.mixer(i, &layer.mixer, &weights.mixer, &weights.norms);
        self.ffn(i, &layer.ffn, &weights.ffn, &weights.norms);
    }
}
