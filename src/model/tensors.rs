//! The tensors of a model by what they are for: one list, from which `build` takes dimensions and `load` takes weights.

use super::spec::{LayerSpec, ModelSpec};
use crate::error::{Error, Result};
use crate::formats::{TensorFile, Weight};
use std::collections::HashMap;

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Embedding table.
    Embed,
    /// Output matrix.
    Output,
    /// Norm before the output matrix.
    FinalNorm,
    /// Norm of the mixer's input.
    MixerNorm,
    /// Query projection.
    Q,
    /// Key projection.
    K,
    /// Value projection.
    V,
    /// Rows of q, k and v in one tensor, which a file may have instead of the three.
    Qkv,
    /// Norm of each query head.
    QNorm,
    /// Norm of each key head.
    KNorm,
    /// Output projection of the attention.
    O,
    /// Norm of the mixer's output.
    MixerPostNorm,
    /// Norm of the FFN's input.
    FfnNorm,
    /// Gate of the FFN.
    Gate,
    /// Up projection of the FFN.
    Up,
    /// Down projection of the FFN.
    Down,
    /// Norm of the FFN's output.
    FfnPostNorm,
}

/// A dimension of a tensor by its meaning. All but the first two may differ by layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Rows of the embedding table.
    Vocab,
    /// Residual width.
    Model,
    /// Dimensions of a head.
    Head,
    /// n_heads * head_dim
    Q,
    /// n_kv_heads * head_dim
    Kv,
    /// (n_heads + 2 * n_kv_heads) * head_dim
    Qkv,
    /// Neurons of the FFN.
    Ff,
}

/// Whether a tensor must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Always.
    Always,
    /// Unless the tensor of this role is there.
    Unless(Role),
    /// Never.
    Optional,
}

/// A tensor that an architecture may have. A matrix may have a bias besides, of as many elements as it has rows.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    /// What it is for.
    pub role: Role,
    /// Name in safetensors of transformers, without `.weight`; `{}` stands for the layer.
    pub hf: &'static str,
    /// Name in a GGUF, likewise.
    pub gguf: &'static str,
    /// Rows (and columns).
    pub shape: &'static [Dim],
    /// Whether it must be there.
    pub need: Need,
}

const fn vector(role: Role, hf: &'static str, gguf: &'static str) -> Wanted {
    Wanted { role, hf, gguf, shape: &[Dim::Model], need: Need::Always }
}

const fn matrix(role: Role, hf: &'static str, gguf: &'static str, shape: &'static [Dim], need: Need) -> Wanted {
    Wanted { role, hf, gguf, shape, need }
}

/// Around the layers. Of embedding and output, one may be missing.
pub const TOP: &[Wanted] = &[
    matrix(Role::Embed, "model.embed_tokens", "token_embd", &[Dim::Vocab, Dim::Model], Need::Unless(Role::Output)),
    matrix(Role::Output, "lm_head", "output", &[Dim::Vocab, Dim::Model], Need::Unless(Role::Embed)),
    vector(Role::FinalNorm, "model.norm", "output_norm"),
];

/// Before mixer and FFN.
pub const LLAMA_NORMS: &[Wanted] = &[
    vector(Role::MixerNorm, "model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    vector(Role::FfnNorm, "model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
];

/// Before and after mixer and FFN.
pub const GEMMA_NORMS: &[Wanted] = &[
    vector(Role::MixerNorm, "model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    vector(Role::MixerPostNorm, "model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
    vector(Role::FfnNorm, "model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"),
    vector(Role::FfnPostNorm, "model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"),
];

/// Attention and a gated FFN.
pub const PROJECTIONS: &[Wanted] = &[
    matrix(Role::Qkv, "model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv", &[Dim::Qkv, Dim::Model], Need::Optional),
    matrix(Role::Q, "model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", &[Dim::Q, Dim::Model], UNLESS_QKV),
    matrix(Role::K, "model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", &[Dim::Kv, Dim::Model], UNLESS_QKV),
    matrix(Role::V, "model.layers.{}.self_attn.v_proj", "blk.{}.attn_v", &[Dim::Kv, Dim::Model], UNLESS_QKV),
    matrix(Role::O, "model.layers.{}.self_attn.o_proj", "blk.{}.attn_output", &[Dim::Model, Dim::Q], Need::Always),
    matrix(Role::Gate, "model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate", &[Dim::Ff, Dim::Model], Need::Always),
    matrix(Role::Up, "model.layers.{}.mlp.up_proj", "blk.{}.ffn_up", &[Dim::Ff, Dim::Model], Need::Always),
    matrix(Role::Down, "model.layers.{}.mlp.down_proj", "blk.{}.ffn_down", &[Dim::Model, Dim::Ff], Need::Always),
];

const UNLESS_QKV: Need = Need::Unless(Role::Qkv);

/// RMSNorm of query and key heads.
pub const QK_NORMS: &[Wanted] = &[
    matrix(Role::QNorm, "model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm", &[Dim::Head], Need::Always),
    matrix(Role::KNorm, "model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm", &[Dim::Head], Need::Always),
];

/// Rotary factors of a GGUF, one per pair (llama3 scaling computed by the converter).
pub const ROPE_FREQS: &str = "rope_freqs.weight";

/// Ends of the names of tensors that may be present and are not weights of a matrix: computed anew or read elsewhere.
const IGNORED: &[&str] = &[
    "inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
    ROPE_FREQS,
    "attn_rot_embd.weight",
    "position_ids",
    "causal_mask",
    "masked_bias",
];

/// Whether a tensor that nothing claims may be left alone: tables of angles, positions and masks, and single numbers, which training code
/// keeps beside the weights.
pub(super) fn is_ignored(weight: &Weight) -> bool {
    weight.shape.is_empty() || IGNORED.iter().any(|end| weight.name.ends_with(end))
}

/// Which names and row order a file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// safetensors with the names of transformers.
    HuggingFace,
    /// GGUF with the names of llama.cpp.
    Gguf,
}

impl Dialect {
    /// The dialect of a file, by its tensor names: the two have none in common.
    pub fn of(tensors: &TensorFile) -> Dialect {
        let gguf = |name: &str| name.starts_with("blk.") || name == "token_embd.weight" || name == "output.weight";
        if tensors.tensors.iter().any(|t| gguf(&t.name)) { Dialect::Gguf } else { Dialect::HuggingFace }
    }
}

impl Wanted {
    /// Whole name of the weight in a dialect.
    pub fn name(&self, dialect: Dialect, layer: usize) -> String {
        self.suffixed(dialect, layer, "weight")
    }
    /// Whole name of the bias.
    pub fn bias(&self, dialect: Dialect, layer: usize) -> String {
        self.suffixed(dialect, layer, "bias")
    }
    fn suffixed(&self, dialect: Dialect, layer: usize, suffix: &str) -> String {
        let pattern = if dialect == Dialect::Gguf { self.gguf } else { self.hf };
        format!("{}.{suffix}", pattern.replace("{}", &layer.to_string()))
    }
    /// One per layer.
    pub fn per_layer(&self) -> bool {
        self.hf.contains("{}")
    }
}

impl Dim {
    /// Its size in a layer (in any, for those that the whole model shares).
    pub fn size(self, spec: &ModelSpec, layer: Option<&LayerSpec>) -> u32 {
        let attention = layer.and_then(LayerSpec::attention);
        match self {
            Dim::Vocab => spec.vocab_size,
            Dim::Model => spec.d_model,
            Dim::Head => attention.map_or(0, |a| a.head_dim),
            Dim::Q => attention.map_or(0, |a| a.q_width()),
            Dim::Kv => attention.map_or(0, |a| a.kv_width()),
            Dim::Qkv => attention.map_or(0, |a| a.q_width() + 2 * a.kv_width()),
            Dim::Ff => layer.map_or(0, LayerSpec::d_ff),
        }
    }
}

/// Weights by name.
pub struct Index<'a> {
    /// All of them.
    pub weights: &'a [Weight],
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Index<'a> {
    /// Indexes the weights of a file.
    pub fn new(weights: &'a [Weight]) -> Index<'a> {
        let by_name = weights.iter().enumerate().map(|(i, w)| (w.name.as_str(), i)).collect();
        Index { weights, by_name }
    }
    /// Position of a weight.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
    /// A weight.
    pub fn get(&self, name: &str) -> Option<&'a Weight> {
        self.position(name).map(|i| &self.weights[i])
    }
    /// A weight that must be there.
    pub fn need(&self, name: &str) -> Result<&'a Weight> {
        self.get(name).ok_or_else(|| {
            Error::MissingTensor(format!(
                "the model has no tensor {name}, which its architecture needs: the file is incomplete or of another \
                 architecture than it says"
            ))
            .with("tensor", name)
        })
    }
}
