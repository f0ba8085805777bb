//! Small Llamas of chosen sizes and types.

use super::Builder;
use lacewing::formats::DType;
use lacewing::model::config::ArchInfo;
use serde_json::json;

pub const D: u64 = 64;
pub const HEAD: u64 = 16;
pub const VOCAB: u64 = 40;

/// Sizes of one layer: heads, key heads, neurons.
pub type Sizes = (u64, u64, u64);

pub fn info(layers: &[Sizes], extra: serde_json::Value) -> ArchInfo {
    let mut config = json!({"model_type": "llama", "hidden_size": D, "head_dim": HEAD, "vocab_size": VOCAB,
        "num_hidden_layers": layers.len(), "num_attention_heads": 4, "max_position_embeddings": 128});
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    ArchInfo::from_config(&config).unwrap()
}

/// A Hugging Face model; `dtype(name)` chooses types.
pub fn hf(layers: &[Sizes], biases: bool, dtype: impl Fn(&str) -> DType) -> Builder {
    let mut b = Builder::new(7);
    let mut add = |name: String, shape: &[u64]| {
        b.add(&name, dtype(&name), shape);
    };
    add("lm_head.weight".into(), &[VOCAB, D]);
    for (i, (heads, kv, d_ff)) in layers.iter().enumerate() {
        let p = format!("model.layers.{i}");
        add(format!("{p}.input_layernorm.weight"), &[D]);
        add(format!("{p}.post_attention_layernorm.weight"), &[D]);
        for (name, rows, cols) in [
            ("self_attn.q_proj", heads * HEAD, D),
            ("self_attn.k_proj", kv * HEAD, D),
            ("self_attn.v_proj", kv * HEAD, D),
            ("self_attn.o_proj", D, heads * HEAD),
            ("mlp.gate_proj", *d_ff, D),
            ("mlp.up_proj", *d_ff, D),
            ("mlp.down_proj", D, *d_ff),
        ] {
            add(format!("{p}.{name}.weight"), &[rows, cols]);
            if biases && name != "self_attn.k_proj" {
                add(format!("{p}.{name}.bias"), &[rows]);
            }
        }
    }
    add("model.norm.weight".into(), &[D]);
    add("model.embed_tokens.weight".into(), &[VOCAB, D]);
    b
}

pub fn norms_f32(name: &str, matrices: DType) -> DType {
    if name.contains("norm") || name.ends_with("bias") { DType::F32 } else { matrices }
}
