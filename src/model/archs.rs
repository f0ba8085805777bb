//! The architectures that run: one row each. What differs between them is data here or in `ModelSpec`.

use crate::error::{Error, Result};
use crate::formats::{TensorFile, Weight};
use std::collections::HashMap;

/// Names of the weights in one dialect, without `.weight` and `.bias`; `{}` stands for the layer.
#[derive(Debug, PartialEq)]
pub struct Names {
    /// Embedding table `[vocab, d_model]`.
    pub embed: &'static str,
    /// Output matrix `[vocab, d_model]`.
    pub output: &'static str,
    /// Last norm `[d_model]`.
    pub final_norm: &'static str,
    /// Norm before attention `[d_model]`.
    pub attn_norm: &'static str,
    /// Query projection `[n_heads*head_dim, d_model]`.
    pub q: &'static str,
    /// Key projection `[n_kv_heads*head_dim, d_model]`.
    pub k: &'static str,
    /// Value projection `[n_kv_heads*head_dim, d_model]`.
    pub v: &'static str,
    /// Rows of q, k and v in one tensor, which a file may have instead of the three.
    pub qkv: Option<&'static str>,
    /// Output projection `[d_model, n_heads*head_dim]`.
    pub o: &'static str,
    /// Norm before the FFN `[d_model]`.
    pub ffn_norm: &'static str,
    /// Gate `[d_ff, d_model]`.
    pub gate: &'static str,
    /// Up `[d_ff, d_model]`.
    pub up: &'static str,
    /// Down `[d_model, d_ff]`.
    pub down: &'static str,
    /// Whole names of tensors that may be present and are not weights of a matrix (computed anew or read elsewhere).
    pub ignored: &'static [&'static str],
}

/// Rotary factors of a GGUF, one per pair (llama3 scaling computed by the converter).
pub const ROPE_FREQS: &str = "rope_freqs.weight";

const HF_LLAMA: Names = Names {
    embed: "model.embed_tokens",
    output: "lm_head",
    final_norm: "model.norm",
    attn_norm: "model.layers.{}.input_layernorm",
    q: "model.layers.{}.self_attn.q_proj",
    k: "model.layers.{}.self_attn.k_proj",
    v: "model.layers.{}.self_attn.v_proj",
    qkv: None,
    o: "model.layers.{}.self_attn.o_proj",
    ffn_norm: "model.layers.{}.post_attention_layernorm",
    gate: "model.layers.{}.mlp.gate_proj",
    up: "model.layers.{}.mlp.up_proj",
    down: "model.layers.{}.mlp.down_proj",
    ignored: &["model.rotary_emb.inv_freq", "model.layers.{}.self_attn.rotary_emb.inv_freq"],
};

const GGUF_LLAMA: Names = Names {
    embed: "token_embd",
    output: "output",
    final_norm: "output_norm",
    attn_norm: "blk.{}.attn_norm",
    q: "blk.{}.attn_q",
    k: "blk.{}.attn_k",
    v: "blk.{}.attn_v",
    qkv: Some("blk.{}.attn_qkv"),
    o: "blk.{}.attn_output",
    ffn_norm: "blk.{}.ffn_norm",
    gate: "blk.{}.ffn_gate",
    up: "blk.{}.ffn_up",
    down: "blk.{}.ffn_down",
    ignored: &[ROPE_FREQS, "blk.{}.attn_rot_embd.weight"],
};

/// A row of the table.
#[derive(Debug, PartialEq)]
pub struct Arch {
    /// `ModelSpec::arch`.
    pub name: &'static str,
    /// `model_type` in config.json.
    pub model_types: &'static [&'static str],
    /// `general.architecture` in a GGUF.
    pub gguf: &'static [&'static str],
    /// Tensor names of the Hugging Face dialect.
    pub hf_names: Names,
    /// Tensor names of the GGUF dialect.
    pub gguf_names: Names,
    /// The GGUF converter reorders the rows of q and k so that rotary pairs are adjacent (weights.md A1.5). We put
    /// them back while loading: kernels know pairs (i, i + n_rot/2) only.
    pub gguf_permuted: bool,
    /// `sliding_window` is obeyed (the reference code of plain Llama ignores it).
    pub window: bool,
}

/// All rows.
pub static ALL: &[Arch] = &[
    Arch {
        name: "llama",
        model_types: &["llama"],
        gguf: &["llama"],
        hf_names: HF_LLAMA,
        gguf_names: GGUF_LLAMA,
        gguf_permuted: true,
        window: false,
    },
    Arch {
        name: "mistral",
        model_types: &["mistral"],
        gguf: &[],
        hf_names: HF_LLAMA,
        gguf_names: GGUF_LLAMA,
        gguf_permuted: true,
        window: true,
    },
];

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

impl Arch {
    /// The row for a `model_type` of config.json.
    pub fn by_model_type(model_type: &str) -> Option<&'static Arch> {
        ALL.iter().find(|a| a.model_types.contains(&model_type))
    }
    /// The row for a `general.architecture` of a GGUF.
    pub fn by_gguf(name: &str) -> Option<&'static Arch> {
        ALL.iter().find(|a| a.gguf.contains(&name))
    }
    /// The row of a `ModelSpec`.
    pub fn by_name(name: &str) -> Option<&'static Arch> {
        ALL.iter().find(|a| a.name == name)
    }
    /// Names of all rows, for messages.
    pub fn supported() -> String {
        ALL.iter().map(|a| a.name).collect::<Vec<_>>().join(", ")
    }
    /// Tensor names in a dialect.
    pub fn names(&self, dialect: Dialect) -> &Names {
        match dialect {
            Dialect::HuggingFace => &self.hf_names,
            Dialect::Gguf => &self.gguf_names,
        }
    }
}

/// Whole name of a tensor: `pattern` with the layer put in, and `weight` or `bias` appended.
pub fn tensor_name(pattern: &str, layer: usize, suffix: &str) -> String {
    format!("{}.{suffix}", pattern.replace("{}", &layer.to_string()))
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
        })
    }
}
