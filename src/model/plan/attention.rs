//! Softmax attention: projections, rotation and cache write, scores, output projection.

use super::super::load::{AttentionWeights, Linear, MixerWeights, NormWeights};
use super::super::spec::{Attention, Mixer};
use super::linear::Target;
use super::{LayerBinds, Pass, Planner};
use crate::kernels::{Bind, attention_decode, attention_prefill, matvec, qkv, rope_kv};

/// State of an attention layer.
#[derive(Clone, Copy)]
struct Cache {
    k: Bind,
    v: Bind,
    gone: Bind,
}

impl Pass<'_> {
    /// A layer's mixer, from and to the residual stream.
    pub(super) fn mixer(&mut self, i: usize, spec: &Mixer, weights: &MixerWeights, norms: &NormWeights) {
        match (spec, weights) {
            (Mixer::Attention(spec), MixerWeights::Attention(w)) => self.attention(i, spec, w, norms),
        }
    }

    /// Three dispatches in decode when q, k and v are stacked: qkv, scores, output projection with the merge of splits.
    fn attention(&mut self, i: usize, spec: &Attention, w: &AttentionWeights, norms: &NormWeights) {
        let LayerBinds::Kv { k, v, gone } = self.planner.state.layers[i] else {
            unreachable!("an attention layer has a KV cache");
        };
        let cache = Cache { k, v, gone };
        let label = |what: &str| format!("layer{i}.attn.{what}");
        let n_rot = self.planner.spec.ropes[spec.rope].n_rot;
        let fuses = w.qkv.iter().all(|part| {
            let bias_rows = part.bias.map(|_| part.matrix.rows);
            qkv::fuses(spec.head_dim, n_rot, bias_rows, spec.qk_norm)
        });
        match norms.before_mixer.filter(|_| self.is_decode() && fuses) {
            Some(norm) => self.fused_qkv(i, spec, w, norm, cache),
            None => {
                let input = self.input(&label("norm"), norms.before_mixer);
                self.unfused_qkv(i, spec, w, input, cache);
            }
        }
        let attended = if self.is_decode() {
            self.scores_of_one(&label("scores"), spec, cache)
        } else {
            self.scores_of_many(&label("scores"), spec, cache)
        };
        self.join(&label("o"), &w.o, attended, norms.after_mixer);
    }

    fn fused_qkv(&mut self, i: usize, spec: &Attention, w: &AttentionWeights, norm_weight: Bind, cache: Cache) {
        let Planner { spec: model, buffers: b, ropes, state, caps, .. } = self.planner;
        for part in &w.qkv {
            let args = qkv::Args {
                matrix: &part.matrix,
                q_heads: part.q_heads,
                k_heads: part.k_heads,
                v_heads: part.v_heads,
                head_dim: spec.head_dim,
                n_rot: model.ropes[spec.rope].n_rot,
                x: b.x,
                norm_weight,
                eps: model.rms_norm_eps,
                bias: part.bias,
                qk_norm: w.qk_norm,
                rope: ropes[spec.rope],
                state: b.state,
                gone: cache.gone,
                q_out: b.qkv,
                k_cache: cache.k,
                v_cache: cache.v,
                kv_type: state.kv_type,
            };
            let name = [(part.q_heads, "q"), (part.k_heads, "k"), (part.v_heads, "v")];
            let name: String = name.iter().filter(|(n, _)| *n > 0).map(|(_, s)| *s).collect();
            self.steps.push(qkv::step(caps, &format!("layer{i}.attn.{name}"), &args));
        }
    }

    /// Projections into one activation row each, then norm, rope and the write to the cache.
    fn unfused_qkv(&mut self, i: usize, spec: &Attention, w: &AttentionWeights, input: matvec::Input, cache: Cache) {
        let Planner { spec: model, buffers: b, ropes, state, caps, .. } = self.planner;
        let stride = b.widths.qkv;
        let mut column = 0;
        for part in &w.qkv {
            let linear = Linear { matrix: part.matrix.clone(), bias: part.bias };
            let to = Target { out: b.qkv, stride, column, accumulate: false };
            self.linear(&format!("layer{i}.attn.qkv"), &linear, input, to);
            column += part.matrix.rows;
        }
        let args = rope_kv::Args {
            qkv: b.qkv,
            stride,
            qk_norm: w.qk_norm,
            eps: model.rms_norm_eps,
            rope: ropes[spec.rope],
            state: b.state,
            gone: cache.gone,
            k_cache: cache.k,
            v_cache: cache.v,
            kv_type: state.kv_type,
            n_heads: spec.n_heads,
            n_kv_heads: spec.n_kv_heads,
            head_dim: spec.head_dim,
            n_rot: model.ropes[spec.rope].n_rot,
            n_tokens: self.n_tokens,
        };
        self.steps.push(rope_kv::step(caps, &format!("layer{i}.attn.rope_kv"), &args));
    }

    /// Decode: splits of the keys, which the next linear layer joins.
    fn scores_of_one(&mut self, label: &str, spec: &Attention, cache: Cache) -> matvec::Input {
        let Planner { buffers: b, state, caps, .. } = self.planner;
        let n_splits = attention_decode::n_splits(state.context_length, spec.n_heads);
        let args = attention_decode::Args {
            q: b.qkv,
            k_cache: cache.k,
            v_cache: cache.v,
            kv_type: state.kv_type,
            state: b.state,
            gone: cache.gone,
            partials: b.partials,
            stats: b.stats,
            n_heads: spec.n_heads,
            n_kv_heads: spec.n_kv_heads,
            head_dim: spec.head_dim,
            scale: spec.scale,
            window: spec.window,
            n_splits,
        };
        self.steps.push(attention_decode::step(caps, label, &args));
        matvec::Input::Merge {
            partials: b.partials,
            stats: b.stats,
            n_splits,
            n_heads: spec.n_heads,
            head_dim: spec.head_dim,
            window: spec.window,
        }
    }

    fn scores_of_many(&mut self, label: &str, spec: &Attention, cache: Cache) -> matvec::Input {
        let Planner { buffers: b, state, caps, .. } = self.planner;
        let args = attention_prefill::Args {
            q: b.qkv,
            q_stride: b.widths.qkv,
            k_cache: cache.k,
            v_cache: cache.v,
            kv_type: state.kv_type,
            state: b.state,
            gone: cache.gone,
            out: b.attended,
            out_stride: b.widths.attended,
            n_heads: spec.n_heads,
            n_kv_heads: spec.n_kv_heads,
            head_dim: spec.head_dim,
            scale: spec.scale,
            window: spec.window,
            n_tokens: self.n_tokens,
        };
        self.steps.push(attention_prefill::step(caps, label, &args));
        matvec::Input::Plain { x: b.attended, stride: b.widths.attended }
    }
}
