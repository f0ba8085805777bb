//! Models whose plans the shader and kernel tests enumerate: tensors without bytes and a config.json, as a file would
//! have them, so that they go through the same `build` and `place`.

use lacewing::formats::{DType, TensorFile, TensorInfo};
use lacewing::model::build::build;
use lacewing::model::config::ArchInfo;
use lacewing::model::spec::ModelSpec;
use serde_json::{Value, json};

#[path = "../../src/bin/lacewing/synthetic.rs"]
#[allow(unused)]
mod synthetic;

/// A spec, its tensors, and what to call them.
pub struct Model {
    pub name: String,
    pub spec: ModelSpec,
    pub tensors: TensorFile,
    /// Its plans are made for a cache of f32, too.
    pub kv_f32: bool,
}

/// All models.
pub fn models() -> Vec<Model> {
    let mut models = bench_shapes();
    // As it is published, and as people quantise it.
    for dtype in [DType::BF16, DType::Q4_0, DType::Q8_0] {
        models.extend(lacewing_tiny(dtype));
    }
    for dtype in [DType::F32, DType::Q8_0, DType::Q5_K] {
        models.extend(biased(dtype));
    }
    // Their shapes and options are new, not their layouts: a plain one and one with scales.
    for dtype in [DType::BF16, DType::Q4_0] {
        models.extend(real(dtype));
        models.extend(odd(dtype));
    }
    models.extend(mixed());
    models
}

/// What `bench --synthetic` runs: every shape in the layouts that most files have, and one shape in all layouts. Layers
/// are equal: one is enough.
fn bench_shapes() -> Vec<Model> {
    let mut models = Vec::new();
    for shape in synthetic::SHAPES {
        for (layout, ..) in synthetic::LAYOUTS {
            if shape.0 != "llama-1b" && !["q4", "q4_k"].contains(layout) {
                continue;
            }
            let name = format!("{}:{layout}", shape.0);
            match synthetic::model(&name) {
                Ok((mut spec, mut tensors)) => {
                    spec.layers.truncate(1);
                    let kept = |n: &str| !n.starts_with("model.layers.") || n.starts_with("model.layers.0.");
                    tensors.tensors.retain(|t| kept(&t.name));
                    models.push(Model { name, spec, tensors, kv_f32: false });
                }
                Err(e) => assert!(e.to_string().contains("multiple of"), "{name}: {e}"),
            }
        }
    }
    models
}

/// Dimensions of a Llama of one layer, and how it differs from the plain one.
#[derive(Clone)]
struct Toy {
    /// `model_type`: says which norms there are.
    arch: &'static str,
    d_model: u64,
    d_ff: u64,
    n_heads: u64,
    n_kv_heads: u64,
    head_dim: u64,
    vocab: u64,
    tied: bool,
    /// Projections with a bias.
    biases: &'static [&'static str],
    /// More keys of config.json.
    config: Value,
}

const QKV: &[&str] = &["q_proj", "k_proj", "v_proj"];
const ALL: &[&str] = &["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

impl Toy {
    /// The model; `dtype` gives the type of a matrix. None where rows are not whole blocks of it.
    fn model(&self, name: &str, dtype: impl Fn(&str) -> DType) -> Option<Model> {
        let mut config = json!({
            "model_type": self.arch, "hidden_size": self.d_model, "head_dim": self.head_dim, "vocab_size": self.vocab,
            "num_hidden_layers": 1, "sliding_window": 512, "num_attention_heads": self.n_heads, "max_position_embeddings": 8192,
            "tie_word_embeddings": self.tied,
        });
        let keys = self.config.as_object().expect("an object");
        config.as_object_mut().expect("an object").extend(keys.clone());
        let (d, q, kv) = (self.d_model, self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim);
        let mut tensors = TensorFile::default();
        let mut whole = true;
        let mut add = |name: &str, dtype: DType, shape: Vec<u64>| {
            whole &= shape[shape.len() - 1].is_multiple_of(dtype.block_elems());
            let bytes = shape.iter().product::<u64>() / dtype.block_elems() * dtype.block_bytes();
            tensors.tensors.push(TensorInfo { name: name.into(), dtype, shape, source: 0, offset: 0, bytes });
        };
        add("model.embed_tokens.weight", dtype("embed"), vec![self.vocab, d]);
        if !self.tied {
            add("lm_head.weight", dtype("output"), vec![self.vocab, d]);
        }
        for norm in ["norm", "layers.0.input_layernorm", "layers.0.post_attention_layernorm"] {
            add(&format!("model.{norm}.weight"), DType::F32, vec![d]);
        }
        if self.arch == "gemma3_text" {
            for norm in ["pre_feedforward_layernorm", "post_feedforward_layernorm"] {
                add(&format!("model.layers.0.{norm}.weight"), DType::F32, vec![d]);
            }
        }
        if self.arch != "llama" && self.arch != "qwen2" {
            for norm in ["q_norm", "k_norm"] {
                add(&format!("model.layers.0.self_attn.{norm}.weight"), DType::F32, vec![self.head_dim]);
            }
        }
        for (block, projection, rows, cols) in [
            ("self_attn", "q_proj", q, d),
            ("self_attn", "k_proj", kv, d),
            ("self_attn", "v_proj", kv, d),
            ("self_attn", "o_proj", d, q),
            ("mlp", "gate_proj", self.d_ff, d),
            ("mlp", "up_proj", self.d_ff, d),
            ("mlp", "down_proj", d, self.d_ff),
        ] {
            let base = format!("model.layers.0.{block}.{projection}");
            add(&format!("{base}.weight"), dtype(projection), vec![rows, cols]);
            if self.biases.contains(&projection) {
                add(&format!("{base}.bias"), DType::F32, vec![rows]);
            }
        }
        if !whole {
            return None;
        }
        let spec = ArchInfo::from_config(&config).and_then(|info| build(&info, &tensors, None));
        let spec = spec.unwrap_or_else(|e| panic!("{name}: {e}"));
        Some(Model { name: name.into(), spec, tensors, kv_f32: false })
    }
}

/// d_model, d_ff, n_heads, n_kv_heads, head_dim, vocab
fn toy(d_model: u64, d_ff: u64, n_heads: u64, n_kv_heads: u64, head_dim: u64, vocab: u64) -> Toy {
    let (arch, tied, biases, config) = ("llama", true, [].as_slice(), json!({}));
    Toy { arch, d_model, d_ff, n_heads, n_kv_heads, head_dim, vocab, tied, biases, config }
}

fn named(toys: &[(&str, Toy)], dtype: DType, kv_f32: bool) -> Vec<Model> {
    let model = |(name, toy): &(&str, Toy)| {
        let model = toy.model(&format!("{name}:{}", dtype.name()), |_| dtype)?;
        Some(Model { kv_f32, ..model })
    };
    toys.iter().filter_map(model).collect()
}

/// Our own model.
fn lacewing_tiny(dtype: DType) -> Vec<Model> {
    let config = json!({"hidden_act": "relu", "max_position_embeddings": 512});
    named(&[("lacewing-tiny", Toy { config, ..toy(256, 768, 4, 2, 64, 1536) })], dtype, true)
}

/// Biases everywhere.
fn biased(dtype: DType) -> Vec<Model> {
    named(&[("all biases", Toy { biases: ALL, tied: false, ..toy(256, 256, 4, 2, 64, 1000) })], dtype, false)
}

/// Shapes of published models beyond those of `bench`.
fn real(dtype: DType) -> Vec<Model> {
    let qwen2 = |toy| Toy { arch: "qwen2", biases: QKV, ..toy };
    let gemma = |d_model, d_ff| Toy { arch: "gemma3_text", ..toy(d_model, d_ff, 4, 1, 256, 262_144) };
    let toys = [
        ("qwen2-0.5b", qwen2(toy(896, 4864, 14, 2, 64, 151_936))),
        ("qwen2-7b", Toy { tied: false, ..qwen2(toy(3584, 18944, 28, 4, 128, 152_064)) }),
        ("qwen3-0.6b", Toy { arch: "qwen3", ..toy(1024, 3072, 16, 8, 128, 151_936) }),
        ("gemma3-270m", gemma(640, 2048)),
        ("gemma3-1b", gemma(1152, 6912)),
    ];
    named(&toys, dtype, false)
}

/// Small models that use what no common one does.
fn odd(dtype: DType) -> Vec<Model> {
    let small = toy(256, 256, 4, 2, 64, 1000);
    let config = |key: &str, value: Value| Value::from_iter([(key, value)]);
    let rotated = |part: f64, toy: Toy| Toy { config: config("partial_rotary_factor", part.into()), ..toy };
    let biased =
        |activation: &str| Toy { biases: ALL, config: config("hidden_act", activation.into()), ..small.clone() };
    let toys = [
        ("biases, relu", biased("relu")),
        ("biases, gelu", biased("gelu_pytorch_tanh")),
        // Rotations of a part, of halves that share words with nobody, and of nothing.
        ("partial rope", rotated(0.4, toy(512, 512, 16, 4, 80, 500))),
        ("odd half", rotated(0.25, toy(256, 512, 32, 4, 24, 500))),
        ("odd half, many rows", rotated(0.25, toy(256, 512, 48, 8, 24, 500))),
        ("odd half, biases", rotated(0.25, Toy { biases: QKV, ..toy(256, 512, 32, 4, 24, 500) })),
        ("no rope", rotated(0.01, small.clone())),
        // Norms of heads of fours and eights, with biases; beside rotations of an odd half they are not fused.
        ("qk_norm", Toy { arch: "qwen3", ..small.clone() }),
        ("qk_norm, fours, biases", Toy { arch: "qwen3", biases: ALL, ..toy(256, 256, 8, 4, 12, 500) }),
        ("qk_norm, odd half", Toy { arch: "qwen3", ..rotated(0.25, toy(256, 512, 32, 4, 24, 500)) }),
        ("four norms, biases", Toy { arch: "gemma3_text", biases: ALL, ..toy(256, 256, 4, 2, 80, 500) }),
        // Blocks of query heads: two of eight, and two of which the second is not full.
        ("group of 16", toy(512, 512, 16, 1, 128, 500)),
        ("group of 9", toy(256, 512, 9, 1, 128, 500)),
        // More statistics of splits than workgroup memory holds twice; more rows than a uniform binding of biases.
        ("many heads", toy(512, 256, 128, 32, 16, 500)),
        ("many biases", Toy { biases: ALL, ..toy(256, 256, 256, 64, 64, 500) }),
        ("short context", Toy { config: config("max_position_embeddings", 100.into()), ..small.clone() }),
    ];
    named(&toys, dtype, true)
}

/// Layouts that differ within a layer, so that q, k, v or gate, up cannot be stacked.
fn mixed() -> Vec<Model> {
    let k_mix = |name: &str| match name {
        "v_proj" | "down_proj" | "embed" => DType::Q6_K,
        "up_proj" => DType::Q5_K,
        _ => DType::Q4_K,
    };
    let each = |name: &str| match name {
        "q_proj" | "gate_proj" => DType::Q4_0,
        "k_proj" | "output" => DType::Q8_0,
        "v_proj" | "up_proj" => DType::F16,
        _ => DType::BF16,
    };
    let large = toy(2048, 8192, 32, 8, 64, 128_256);
    let biased = Toy { biases: ALL, tied: false, ..toy(512, 2304, 8, 4, 64, 1000) };
    let models = [
        large.model("llama-1b:mixed K", k_mix),
        biased.model("biases:mixed K", k_mix),
        large.model("llama-1b:q, k, v of three types", each),
        biased.model("biases:q, k, v of three types", each),
    ];
    models.map(|m| m.expect("whole blocks")).into()
}
