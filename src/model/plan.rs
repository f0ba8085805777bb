//! (spec, weights, buffers, bucket) -> the list of steps of one forward pass. The whole model reads here.

pub use super::buffers::{BUCKETS, Buffers, MAX_CHUNK, bucket};
use super::buffers::{MAX_SPLITS, RING};
use super::load::{GateUp, LayerWeights, Linear, Weights};
use super::spec::{LayerSpec, ModelSpec};
use crate::kernels::{
    Bind, Caps, KvType, Matrix, Step, attention_decode, attention_prefill, embed, gate_up, glu, matmul, matvec, qkv,
    rms_norm, rope_kv, sample, sample_reduce,
};

/// What comes out of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// Only the KV cache (all chunks of a prompt but the last).
    Nothing,
    /// The next token, drawn from the last position.
    Token,
    /// Logits of every position in [`Buffers::logits`].
    AllLogits,
}

/// K and V of one layer.
#[derive(Debug, Clone, Copy)]
pub struct KvLayer {
    /// Keys, rotated: `[capacity, n_kv_heads * head_dim]`
    pub k: Bind,
    /// Values: `[capacity, n_kv_heads * head_dim]`
    pub v: Bind,
}

/// Where the KV cache lies.
#[derive(Debug, Clone)]
pub struct Kv {
    /// One per layer.
    pub layers: Vec<KvLayer>,
    /// f32 `[capacity, n_rot / 2, 2]`: cos and sin of every position (16 bytes when there is no rope).
    pub rope: Bind,
    /// Element type.
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
    /// KV cache and rope table.
    pub cache: &'a Kv,
    /// What kernels may use.
    pub caps: Caps,
}

impl Planner<'_> {
    /// The steps of one pass over up to `n_tokens` (a bucket) tokens.
    pub fn plan(&self, n_tokens: u32, output: Output) -> Vec<Step> {
        let mut steps = Vec::new();
        let b = self.buffers;
        for part in &self.weights.embed.parts {
            let args = embed::Args {
                table: &self.weights.embed,
                part,
                ids: b.ids,
                state: b.state,
                seen: b.seen,
                out: b.x,
                out_stride: b.widths.model,
                scale: 1.0,
                n_tokens,
            };
            steps.push(embed::step(&self.caps, "embed", &args));
        }
        for (i, (layer, weights)) in self.spec.layers.iter().zip(&self.weights.layers).enumerate() {
            if n_tokens == 1 {
                self.decode_layer(&mut steps, i, layer, weights);
            } else {
                self.prefill_layer(&mut steps, i, layer, weights, n_tokens);
            }
        }
        match output {
            Output::Nothing => {}
            Output::Token => {
                self.logits(&mut steps, true);
                self.sample(&mut steps);
            }
            Output::AllLogits if n_tokens == 1 => self.logits(&mut steps, false),
            Output::AllLogits => {
                self.norm(&mut steps, "output.norm", self.weights.final_norm, n_tokens);
                let x = matvec::Input::Plain { x: b.normed, stride: b.widths.model };
                let linear = Linear { matrix: self.output_matrix().clone(), bias: None };
                let to = Target { out: b.logits, stride: self.spec.vocab_size, column: 0, accumulate: false };
                self.linear(&mut steps, "output", &linear, x, to, n_tokens);
            }
        }
        steps
    }

    fn output_matrix(&self) -> &Matrix {
        self.weights.output.as_ref().unwrap_or(&self.weights.embed)
    }

    /// Five dispatches when q, k, v and gate, up are stacked: qkv, attention, o_proj, gate_up, down.
    fn decode_layer(&self, steps: &mut Vec<Step>, i: usize, layer: &LayerSpec, weights: &LayerWeights) {
        let (b, kv) = (self.buffers, &self.cache.layers[i]);
        let eps = self.spec.rms_norm_eps;
        let bias_rows = weights.qkv.iter().filter(|p| p.bias.is_some()).map(|p| p.matrix.rows).max();
        let fused = qkv::fuses(layer.head_dim, self.spec.rope.n_rot, bias_rows, false);
        if !fused {
            let normed = matvec::Input::Norm { x: b.x, stride: b.widths.model, weight: weights.attn_norm, eps };
            self.unfused_qkv(steps, i, layer, weights, normed, 1);
        }
        for part in weights.qkv.iter().filter(|_| fused) {
            let args = qkv::Args {
                matrix: &part.matrix,
                q_heads: part.q_heads,
                k_heads: part.k_heads,
                v_heads: part.v_heads,
                head_dim: layer.head_dim,
                n_rot: self.spec.rope.n_rot,
                x: b.x,
                norm_weight: weights.attn_norm,
                eps,
                bias: part.bias,
                qk_norm: None,
                rope: self.cache.rope,
                state: b.state,
                gone: b.gone,
                q_out: b.qkv,
                k_cache: kv.k,
                v_cache: kv.v,
                kv_type: self.cache.kv_type,
            };
            let name = [(part.q_heads, "q"), (part.k_heads, "k"), (part.v_heads, "v")];
            let name: String = name.iter().filter(|(n, _)| *n > 0).map(|(_, s)| *s).collect();
            steps.push(qkv::step(&self.caps, &format!("layer{i}.attn.{name}"), &args));
        }
        // The merge keeps the sums of all splits and heads in workgroup memory.
        let n_splits = self.cache.context_length.div_ceil(64).min(MAX_SPLITS).min(matvec::MAX_STATS / layer.n_heads);
        let args = attention_decode::Args {
            q: b.qkv,
            k_cache: kv.k,
            v_cache: kv.v,
            kv_type: self.cache.kv_type,
            state: b.state,
            gone: b.gone,
            partials: b.partials,
            stats: b.stats,
            n_heads: layer.n_heads,
            n_kv_heads: layer.n_kv_heads,
            head_dim: layer.head_dim,
            scale: layer.attention_scale,
            window: layer.window,
            n_splits,
        };
        steps.push(attention_decode::step(&self.caps, &format!("layer{i}.attn.scores"), &args));
        let merge = matvec::Input::Merge {
            partials: b.partials,
            stats: b.stats,
            n_splits,
            n_heads: layer.n_heads,
            head_dim: layer.head_dim,
            window: layer.window,
        };
        self.linear(steps, &format!("layer{i}.attn.o"), &weights.o, merge, self.residual(), 1);
        let normed = || matvec::Input::Norm { x: b.x, stride: b.widths.model, weight: weights.ffn_norm, eps };
        match &weights.gate_up {
            GateUp::Fused(linear) => {
                let args = gate_up::Args {
                    matrix: &linear.matrix,
                    x: b.x,
                    norm_weight: weights.ffn_norm,
                    eps,
                    bias: linear.bias,
                    activation: layer.activation,
                    out: b.activated,
                };
                steps.push(gate_up::step(&self.caps, &format!("layer{i}.ffn.gate_up"), &args));
            }
            GateUp::Split { gate, up } => {
                let to = |column| Target { out: b.gate_up, stride: b.widths.gate_up, column, accumulate: false };
                self.linear(steps, &format!("layer{i}.ffn.gate"), gate, normed(), to(0), 1);
                self.linear(steps, &format!("layer{i}.ffn.up"), up, normed(), to(layer.d_ff), 1);
                self.glu(steps, i, layer, 1);
            }
        }
        self.down(steps, i, weights, 1);
    }

    fn prefill_layer(&self, steps: &mut Vec<Step>, i: usize, layer: &LayerSpec, weights: &LayerWeights, n_tokens: u32) {
        let (b, w, kv) = (self.buffers, self.buffers.widths, &self.cache.layers[i]);
        self.norm(steps, &format!("layer{i}.attn.norm"), weights.attn_norm, n_tokens);
        let plain = |x, stride| matvec::Input::Plain { x, stride };
        self.unfused_qkv(steps, i, layer, weights, plain(b.normed, w.model), n_tokens);
        let args = attention_prefill::Args {
            q: b.qkv,
            q_stride: w.qkv,
            k_cache: kv.k,
            v_cache: kv.v,
            kv_type: self.cache.kv_type,
            state: b.state,
            gone: b.gone,
            out: b.attended,
            out_stride: w.attended,
            n_heads: layer.n_heads,
            n_kv_heads: layer.n_kv_heads,
            head_dim: layer.head_dim,
            scale: layer.attention_scale,
            window: layer.window,
            n_tokens,
        };
        steps.push(attention_prefill::step(&self.caps, &format!("layer{i}.attn.scores"), &args));
        let attended = plain(b.attended, w.attended);
        self.linear(steps, &format!("layer{i}.attn.o"), &weights.o, attended, self.residual(), n_tokens);
        self.norm(steps, &format!("layer{i}.ffn.norm"), weights.ffn_norm, n_tokens);
        let to = |column| Target { out: b.gate_up, stride: w.gate_up, column, accumulate: false };
        let normed = || plain(b.normed, w.model);
        match &weights.gate_up {
            GateUp::Fused(linear) => {
                self.linear(steps, &format!("layer{i}.ffn.gate_up"), linear, normed(), to(0), n_tokens);
            }
            GateUp::Split { gate, up } => {
                self.linear(steps, &format!("layer{i}.ffn.gate"), gate, normed(), to(0), n_tokens);
                self.linear(steps, &format!("layer{i}.ffn.up"), up, normed(), to(layer.d_ff), n_tokens);
            }
        }
        self.glu(steps, i, layer, n_tokens);
        self.down(steps, i, weights, n_tokens);
    }

    /// Projections into one activation row each, then rope and the write to the cache.
    fn unfused_qkv(
        &self,
        steps: &mut Vec<Step>,
        i: usize,
        layer: &LayerSpec,
        weights: &LayerWeights,
        input: matvec::Input,
        n_tokens: u32,
    ) {
        let (b, kv, stride) = (self.buffers, &self.cache.layers[i], self.buffers.widths.qkv);
        let mut column = 0;
        for part in &weights.qkv {
            let linear = Linear { matrix: part.matrix.clone(), bias: part.bias };
            let to = Target { out: b.qkv, stride, column, accumulate: false };
            self.linear(steps, &format!("layer{i}.attn.qkv"), &linear, input, to, n_tokens);
            column += part.matrix.rows;
        }
        let args = rope_kv::Args {
            qkv: b.qkv,
            stride,
            rope: self.cache.rope,
            qk_norm: None,
            eps: self.spec.rms_norm_eps,
            state: b.state,
            gone: b.gone,
            k_cache: kv.k,
            v_cache: kv.v,
            kv_type: self.cache.kv_type,
            n_heads: layer.n_heads,
            n_kv_heads: layer.n_kv_heads,
            head_dim: layer.head_dim,
            n_rot: self.spec.rope.n_rot,
            n_tokens,
        };
        steps.push(rope_kv::step(&self.caps, &format!("layer{i}.attn.rope_kv"), &args));
    }

    fn residual(&self) -> Target {
        Target { out: self.buffers.x, stride: self.buffers.widths.model, column: 0, accumulate: true }
    }

    fn down(&self, steps: &mut Vec<Step>, i: usize, weights: &LayerWeights, n_tokens: u32) {
        let b = self.buffers;
        let x = matvec::Input::Plain { x: b.activated, stride: b.widths.ff };
        self.linear(steps, &format!("layer{i}.ffn.down"), &weights.down, x, self.residual(), n_tokens);
    }

    fn glu(&self, steps: &mut Vec<Step>, i: usize, layer: &LayerSpec, n_tokens: u32) {
        let b = self.buffers;
        let args = glu::Args {
            gate_up: b.gate_up,
            in_stride: b.widths.gate_up,
            out: b.activated,
            out_stride: b.widths.ff,
            state: b.state,
            d_ff: layer.d_ff,
            activation: layer.activation,
            n_tokens,
        };
        steps.push(glu::step(&self.caps, &format!("layer{i}.ffn.glu"), &args));
    }

    fn norm(&self, steps: &mut Vec<Step>, label: &str, weight: Bind, n_tokens: u32) {
        let b = self.buffers;
        let args = rms_norm::Args {
            x: b.x,
            x_stride: b.widths.model,
            weight,
            out: b.normed,
            out_stride: b.widths.model,
            accumulate: false,
            state: b.state,
            d_model: self.spec.d_model,
            eps: self.spec.rms_norm_eps,
            n_tokens,
        };
        steps.push(rms_norm::step(&self.caps, label, &args));
    }

    /// Logits of one position: the last of the pass, or the only one.
    fn logits(&self, steps: &mut Vec<Step>, last_row: bool) {
        let b = self.buffers;
        let matrix = self.output_matrix();
        for part in &matrix.parts {
            let args = matvec::Args {
                matrix,
                part,
                input: matvec::Input::Norm {
                    x: b.x,
                    stride: b.widths.model,
                    weight: self.weights.final_norm,
                    eps: self.spec.rms_norm_eps,
                },
                state: b.state,
                bias: None,
                accumulate: false,
                out: b.logits,
                out_stride: self.spec.vocab_size,
                out_column: 0,
                n_tokens: 1,
                last_row,
            };
            steps.push(matvec::step(&self.caps, "output", &args));
        }
    }

    fn sample(&self, steps: &mut Vec<Step>) {
        let b = self.buffers;
        let vocab_size = self.spec.vocab_size;
        let args =
            sample_reduce::Args { logits: b.logits, vocab_size, seen: b.seen, sampling: b.sampling, chunks: b.chunks };
        steps.push(sample_reduce::step(&self.caps, "sample.reduce", &args));
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
        steps.push(sample::step(&self.caps, "sample", &args));
    }

    /// One dispatch per row part: mat-vec for up to eight tokens, GEMM beyond.
    fn linear(
        &self,
        steps: &mut Vec<Step>,
        label: &str,
        linear: &Linear,
        input: matvec::Input,
        to: Target,
        n_tokens: u32,
    ) {
        let state = self.buffers.state;
        for part in &linear.matrix.parts {
            if n_tokens <= 8 {
                let args = matvec::Args {
                    matrix: &linear.matrix,
                    part,
                    input,
                    state,
                    bias: linear.bias,
                    accumulate: to.accumulate,
                    out: to.out,
                    out_stride: to.stride,
                    out_column: to.column,
                    n_tokens,
                    last_row: false,
                };
                steps.push(matvec::step(&self.caps, label, &args));
            } else {
                let matvec::Input::Plain { x, stride } = input else {
                    unreachable!("prologues exist in decode only");
                };
                let args = matmul::Args {
                    matrix: &linear.matrix,
                    part,
                    x,
                    x_stride: stride,
                    state,
                    bias: linear.bias,
                    accumulate: to.accumulate,
                    out: to.out,
                    out_stride: to.stride,
                    out_column: to.column,
                    n_tokens,
                };
                steps.push(matmul::step(&self.caps, label, &args));
            }
        }
    }
}

/// Where a linear layer writes.
#[derive(Clone, Copy)]
struct Target {
    out: Bind,
    stride: u32,
    column: u32,
    accumulate: bool,
}
