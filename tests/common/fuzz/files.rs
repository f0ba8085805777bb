//! The headers of weight files.

use super::Target;
use crate::gguf_writer::{self, Tensor};
use lacewing::formats::TensorFile;
use lacewing::formats::gguf::Value;
use lacewing::formats::source::MemoryFiles;
use lacewing::model::open::{describe, open};
use lacewing::session::text::Text;
use pollster::block_on;

pub const GGUF: Target = Target { name: "gguf", seeds: gguf_seeds, read: read_gguf, constant: 3 << 20 };
pub const SAFETENSORS: Target =
    Target { name: "safetensors", seeds: safetensors_seeds, read: read_safetensors, constant: 256 << 10 };

/// Everything that is said to lie in the files does.
fn check_tensors(file: &TensorFile) {
    for t in &file.tensors {
        assert!(t.offset + t.bytes <= file.sources[t.source].len(), "{} ends outside its file", t.name);
        assert_eq!(t.rows() * t.row_bytes(), t.bytes, "{}", t.name);
    }
}

fn read_gguf(input: &[u8]) {
    let files = MemoryFiles::single("model.gguf", input);
    let _ = block_on(describe(&files));
    let Ok(model) = block_on(open(&files)) else { return };
    check_tensors(&model.tensors);
    let Ok(text) = Text::new(model.text) else { return };
    if let Ok(tokenizer) = text.tokenizer() {
        super::text::check_tokenizer(tokenizer);
    }
}

/// A model of one layer and eight dimensions, small enough for a fuzzer to find its way in.
fn gguf_model(vocabulary: Vec<(&str, Value)>, n_tokens: u64) -> Vec<u8> {
    let (d, ff) = (8, 16);
    let ints = |v: &[u64]| -> Vec<(String, Value)> {
        let names =
            ["embedding_length", "block_count", "feed_forward_length", "context_length", "attention.head_count"];
        names.iter().zip(v).map(|(k, v)| (format!("llama.{k}"), Value::Int((*v).into()))).collect()
    };
    let numbers = ints(&[d, 1, ff, 64, 2]);
    let mut metadata = vec![("general.architecture", Value::String("llama".into()))];
    metadata.extend(numbers.iter().map(|(k, v)| (k.as_str(), v.clone())));
    metadata.push(("llama.attention.layer_norm_rms_epsilon", Value::Float(1e-5)));
    metadata.extend(vocabulary);
    let tensor = |name: &str, shape: &[u64]| {
        let values = vec![0.5; shape.iter().product::<u64>() as usize];
        Tensor::f32(name, shape, &values)
    };
    let mut tensors = vec![tensor("token_embd.weight", &[n_tokens, d]), tensor("output_norm.weight", &[d])];
    for (name, shape) in [
        ("attn_norm", &[d][..]),
        ("ffn_norm", &[d]),
        ("attn_q", &[d, d]),
        ("attn_k", &[d, d]),
        ("attn_v", &[d, d]),
        ("attn_output", &[d, d]),
        ("ffn_gate", &[ff, d]),
        ("ffn_up", &[ff, d]),
        ("ffn_down", &[d, ff]),
    ] {
        tensors.push(tensor(&format!("blk.0.{name}.weight"), shape));
    }
    gguf_writer::write(&metadata, &tensors)
}

fn gguf_seeds() -> Vec<Vec<u8>> {
    let strings = |list: &[&str]| Value::Strings(list.iter().map(|s| s.to_string()).collect());
    let spm = ["<unk>", "<s>", "</s>", "<0x0A>", "\u{2581}", "a", "b", "\u{2581}ab", "ab"];
    let bpe = ["a", "b", "\u{120}", "ab", "\u{120}ab", "<|end|>"];
    let id = |key, id| (key, Value::Int(id));
    vec![
        gguf_model(
            vec![
                ("tokenizer.ggml.model", Value::String("llama".into())),
                ("tokenizer.ggml.tokens", strings(&spm)),
                ("tokenizer.ggml.scores", Value::Floats(vec![0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0, -5.0])),
                ("tokenizer.ggml.token_type", Value::Ints(vec![2, 3, 3, 6, 1, 1, 1, 1, 1])),
                id("tokenizer.ggml.bos_token_id", 1),
                id("tokenizer.ggml.eos_token_id", 2),
                ("tokenizer.chat_template", Value::String("{{ bos_token }}{{ messages[0].content }}".into())),
            ],
            spm.len() as u64,
        ),
        gguf_model(
            vec![
                ("tokenizer.ggml.model", Value::String("gpt2".into())),
                ("tokenizer.ggml.pre", Value::String("qwen2".into())),
                ("tokenizer.ggml.tokens", strings(&bpe)),
                ("tokenizer.ggml.token_type", Value::Ints(vec![1, 1, 1, 1, 1, 3])),
                ("tokenizer.ggml.merges", strings(&["a b", "\u{120} ab"])),
                id("tokenizer.ggml.eos_token_id", 5),
            ],
            bpe.len() as u64,
        ),
    ]
}

/// A header alone, as the one file of a model and as the shard that an index names; and the same bytes as an index.
fn read_safetensors(input: &[u8]) {
    let index = index_seed();
    for files in [
        MemoryFiles::new().with("config.json", CONFIG).with("model.safetensors", input),
        MemoryFiles::new()
            .with("config.json", CONFIG)
            .with("model.safetensors.index.json", index.as_bytes())
            .with("shard.safetensors", input),
        MemoryFiles::new()
            .with("config.json", CONFIG)
            .with("model.safetensors.index.json", input)
            .with("shard.safetensors", safetensors_model()),
    ] {
        if let Ok(tensors) = block_on(lacewing::formats::safetensors::read(&files)) {
            check_tensors(&tensors);
        }
        let _ = block_on(open(&files));
    }
}

const CONFIG: &[u8] = br#"{"model_type":"llama","hidden_size":8,"intermediate_size":16,"num_hidden_layers":1,
"num_attention_heads":2,"num_key_value_heads":2,"vocab_size":4,"rms_norm_eps":1e-5,"max_position_embeddings":64,
"rope_theta":10000.0,"tie_word_embeddings":true,"hidden_act":"silu"}"#;

const SHAPES: &[(&str, &[usize])] = &[
    ("embed_tokens", &[4, 8]),
    ("norm", &[8]),
    ("layers.0.input_layernorm", &[8]),
    ("layers.0.post_attention_layernorm", &[8]),
    ("layers.0.self_attn.q_proj", &[8, 8]),
    ("layers.0.self_attn.k_proj", &[8, 8]),
    ("layers.0.self_attn.v_proj", &[8, 8]),
    ("layers.0.self_attn.o_proj", &[8, 8]),
    ("layers.0.mlp.gate_proj", &[16, 8]),
    ("layers.0.mlp.up_proj", &[16, 8]),
    ("layers.0.mlp.down_proj", &[8, 16]),
];

fn safetensors_model() -> Vec<u8> {
    let (mut header, mut at) = (serde_json::Map::new(), 0);
    for (name, shape) in SHAPES {
        let bytes = 2 * shape.iter().product::<usize>();
        let entry = serde_json::json!({"dtype": "BF16", "shape": shape, "data_offsets": [at, at + bytes]});
        header.insert(format!("model.{name}.weight"), entry);
        at += bytes;
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.bytes());
    out.resize(out.len() + at, 0x3C);
    out
}

/// An index of the model above.
fn index_seed() -> String {
    let map: serde_json::Map<_, _> =
        SHAPES.iter().map(|(name, _)| (format!("model.{name}.weight"), "shard.safetensors".into())).collect();
    serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string()
}

fn safetensors_seeds() -> Vec<Vec<u8>> {
    vec![safetensors_model(), index_seed().into_bytes()]
}
