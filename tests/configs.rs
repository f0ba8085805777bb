//! config.json of many architectures, both dialects, and odd ones.

mod model_support;

use lacewing::Error;
use lacewing::model::build::supported;
use lacewing::model::config::{ArchInfo, PerLayer, parse_json};
use model_support::folder;
use serde_json::{Value, json};

fn info(config: Value) -> Result<ArchInfo, Error> {
    ArchInfo::from_config(&config)
}

/// n_layers, d_model, n_heads, n_kv_heads, head_dim, d_ff, vocab, experts, experts per token, context; 0 = not said.
type Dimensions = [u32; 10];

/// Name of the file, model type, dimensions, rope kind, theta.
const CONFIGS: &[(&str, &str, Dimensions, &str, f64)] = &[
    (
        "PowerInfer--SmallThinker-4BA0.6B-Instruct",
        "smallthinker",
        [32, 1536, 12, 2, 128, 768, 151936, 32, 4, 32768],
        "default",
        1.5e6,
    ),
    ("Qwen--Qwen2.5-7B-Instruct", "qwen2", [28, 3584, 28, 4, 0, 18944, 152064, 0, 0, 32768], "default", 1e6),
    ("Qwen--Qwen3-0.6B", "qwen3", [28, 1024, 16, 8, 128, 3072, 151936, 0, 0, 40960], "default", 1e6),
    ("Qwen--Qwen3-30B-A3B", "qwen3_moe", [48, 2048, 32, 4, 128, 6144, 151936, 128, 8, 40960], "default", 1e6),
    ("Qwen--Qwen3-8B", "qwen3", [36, 4096, 32, 8, 128, 12288, 151936, 0, 0, 40960], "default", 1e6),
    ("Qwen--Qwen3.5-35B-A3B", "qwen3_5_moe", [40, 2048, 16, 2, 256, 0, 248320, 256, 8, 262144], "default", 1e7),
    ("allenai--OLMoE-1B-7B-0125-Instruct", "olmoe", [16, 2048, 16, 16, 0, 1024, 50304, 64, 8, 4096], "default", 1e4),
    ("deepseek-ai--DeepSeek-V3", "deepseek_v3", [61, 7168, 128, 128, 0, 18432, 129280, 256, 8, 163840], "yarn", 1e4),
    ("google--gemma-4-26B-A4B", "gemma4", [30, 2816, 16, 8, 256, 2112, 262144, 128, 8, 262144], "proportional", 1e6),
    ("jetmoe--jetmoe-8b-PARTIAL", "jetmoe", [24, 2048, 0, 16, 128, 5632, 32000, 8, 2, 4096], "", 0.0),
    ("meta-llama--Llama-3.2-1B-Instruct", "llama", [16, 2048, 32, 8, 64, 8192, 128256, 0, 0, 131072], "llama3", 5e5),
    (
        "meta-llama--Llama-4-Scout-17B-16E-Instruct",
        "llama4",
        [48, 5120, 40, 8, 128, 8192, 202048, 16, 1, 10485760],
        "llama3",
        5e5,
    ),
    ("meta-llama--Meta-Llama-3.1-8B", "llama", [32, 4096, 32, 8, 0, 14336, 128256, 0, 0, 131072], "llama3", 5e5),
    (
        "microsoft--Phi-4-mini-instruct-mlx4bit",
        "phi3",
        [32, 3072, 24, 8, 0, 8192, 200064, 0, 0, 131072],
        "longrope",
        1e4,
    ),
    ("mistralai--Mistral-7B-Instruct-v0.3", "mistral", [32, 4096, 32, 8, 0, 14336, 32768, 0, 0, 32768], "default", 1e6),
    ("mistralai--Mixtral-8x7B-v0.1", "mixtral", [32, 4096, 32, 8, 0, 14336, 32000, 8, 2, 32768], "default", 1e6),
    ("nvidia--Llama-3.1-70B-Instruct-FP8", "llama", [80, 8192, 64, 8, 0, 28672, 128256, 0, 0, 131072], "llama3", 5e5),
    (
        "nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
        "nemotron_h",
        [52, 2688, 32, 2, 128, 1856, 131072, 128, 6, 262144],
        "default",
        1e4,
    ),
    ("openai--gpt-oss-20b", "gpt_oss", [24, 2880, 64, 8, 64, 2880, 201088, 32, 4, 131072], "yarn", 1.5e5),
];

#[test]
fn every_config_gives_its_dimensions() {
    let Some(dir) = folder("configs") else { return };
    for (name, model_type, dimensions, kind, theta) in CONFIGS {
        let bytes = std::fs::read(dir.join(format!("{name}.json"))).unwrap();
        let i = ArchInfo::from_config(&parse_json(name, &bytes).unwrap()).unwrap();
        let first = |p: &Option<PerLayer>| p.as_ref().and_then(|p| p.at(0)).unwrap_or(0);
        let number = |n: Option<u32>| n.unwrap_or(0);
        let found = [
            number(i.n_layers),
            number(i.d_model),
            first(&i.n_heads),
            first(&i.n_kv_heads),
            number(i.head_dim),
            first(&i.d_ff),
            number(i.vocab_size),
            i.n_experts,
            i.n_experts_per_token,
            number(i.context_length),
        ];
        assert_eq!((i.model_type.as_str(), found), (*model_type, *dimensions), "{name}");
        let rope = i.ropes.first();
        assert_eq!(rope.map_or("", |r| &r.kind), *kind, "{name}");
        assert_eq!(rope.and_then(|r| r.theta).unwrap_or(0.0), *theta, "{name}");
        let result = supported(&i);
        match *name {
            "nvidia--Llama-3.1-70B-Instruct-FP8" => assert!(result.is_ok(), "its config does not say FP8"),
            _ if ["llama", "mistral", "qwen2", "qwen3"].contains(model_type) => {
                assert_eq!(result.unwrap().name, *model_type);
            }
            _ if *model_type == "gemma3_text" => assert_eq!(result.unwrap().name, "gemma3"),
            _ => {
                let e = result.unwrap_err();
                assert_eq!(e.code(), "unsupported-model", "{name}: {e}");
                assert!(e.to_string().contains(model_type) && e.to_string().contains("llama"), "{e}");
            }
        }
    }
    let count = std::fs::read_dir(dir).unwrap().count();
    assert_eq!(count, CONFIGS.len(), "a config is not in the table");
}

#[test]
fn end_tokens_sparsity_windows_and_types_come_from_any_level() {
    let i = info(json!({"model_type": "wrapper", "eos_token_id": [9, 3], "tie_word_embeddings": true,
        "text_config": {"model_type": "inner", "eos_token_id": 7, "dtype": "bfloat16", "layer_types": ["a", "b"]}}))
    .unwrap();
    assert_eq!((i.model_type.as_str(), i.eos_ids, i.tied_embeddings), ("wrapper", vec![3, 7, 9], Some(true)));
    assert_eq!((i.dtype.as_deref(), i.layer_types.len()), (Some("bfloat16"), 2));
    let i =
        info(json!({"model_type": "m", "sliding_window": 8, "use_sliding_window": false, "eos_token_id": -1})).unwrap();
    assert_eq!((i.window, i.eos_ids), (None, vec![]));
    let i =
        info(json!({"model_type": "m", "rms_norm_eps": {"__float__": "Infinity"}, "intermediate_size": [3, null, 5],
        "max_position_embeddings": 1e30}))
        .unwrap();
    assert_eq!(i.norm_eps, Some(f64::INFINITY));
    assert_eq!(i.d_ff, Some(PerLayer::Each(vec![3, 0, 5])));
    assert_eq!(i.context_length, Some(1_000_000_000));
}

#[test]
fn a_rope_scaling_beside_rope_parameters_is_not_lost() {
    let i = info(json!({"model_type": "llama", "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
        "rope_scaling": {"rope_type": "yarn", "factor": 4}}))
    .unwrap();
    assert_eq!((i.ropes[0].kind.as_str(), i.ropes[0].theta, i.ropes[0].factor), ("yarn", Some(5e5), Some(4.0)));
}

#[test]
fn python_json_with_bare_infinities_is_read() {
    let text = br#"{"a": [0.0, Infinity, -Infinity, NaN], "b": "NaN \" Infinity", "c\\": NaN}"#;
    let v = parse_json("config.json", text).unwrap();
    assert_eq!(v["a"][1]["__float__"], "Infinity");
    assert_eq!(v["a"][2]["__float__"], "-Infinity");
    assert_eq!(v["b"], "NaN \" Infinity");
    assert_eq!(v["c\\"]["__float__"], "NaN");
    for bad in [&b"{"[..], b"{\"a\": Infinit}", b"\xff\xfe", b"", b"{\"a\": \"\\"] {
        assert_eq!(parse_json("config.json", bad).unwrap_err().code(), "bad-file");
    }
}

#[test]
fn wrong_types_name_the_key() {
    for (key, value) in [
        ("hidden_size", json!("64")),
        ("hidden_size", json!(-1)),
        ("hidden_size", json!(1.5)),
        ("num_hidden_layers", json!(1e12)),
        ("num_attention_heads", json!([1, "2"])),
        ("tie_word_embeddings", json!("yes")),
        ("rope_scaling", json!(3)),
        ("layer_types", json!([1])),
    ] {
        let e = info(json!({"model_type": "llama", key: value})).unwrap_err();
        assert_eq!(e.code(), "bad-file");
        assert!(e.to_string().contains(if key == "rope_scaling" { "rope" } else { key }), "{e}");
    }
    for v in [json!([]), json!(null), json!({}), json!({"model_type": 3})] {
        assert_eq!(info(v).unwrap_err().code(), "bad-file");
    }
}

/// Compared with the logits of llama.cpp, which does not read `yarn_attn_factor` unless asked.
#[test]
fn a_gguf_scales_rotary_embeddings_as_in_llama_cpp() {
    use lacewing::formats::gguf::{Metadata, Value as V};
    use lacewing::model::spec::RopeScaling;
    let scaling = |keys: &[(&str, V)]| {
        let mut entries = vec![("general.architecture".to_string(), V::String("llama".into()))];
        entries.extend(keys.iter().map(|(k, v)| (format!("llama.rope.scaling.{k}"), v.clone())));
        ArchInfo::from_gguf(&Metadata { entries }).unwrap().ropes[0].scaling(128).unwrap()
    };
    let yarn = |factor: f64, original: f64, magnitude: f64| RopeScaling::Yarn {
        factor,
        fast: 32.0,
        slow: 1.0,
        original,
        truncate: true,
        magnitude,
    };
    let kind = |kind: &str| ("type", V::String(kind.into()));
    let (factor, original) = (("factor", V::Float(4.0)), ("original_context_length", V::Int(16)));
    let suggested = 1.0 + 0.1 * 4_f64.ln();
    assert_eq!(scaling(&[]), RopeScaling::None);
    assert_eq!(scaling(&[kind("none"), factor.clone()]), RopeScaling::None);
    assert_eq!(scaling(std::slice::from_ref(&factor)), RopeScaling::Linear { factor: 4.0 });
    assert_eq!(scaling(&[kind("yarn"), factor.clone(), original.clone()]), yarn(4.0, 16.0, suggested));
    assert_eq!(scaling(&[kind("yarn"), factor.clone()]), yarn(4.0, 128.0, suggested));
    assert_eq!(scaling(&[kind("yarn"), original.clone()]), yarn(1.0, 16.0, 1.0));
    assert_eq!(scaling(&[("attn_factor", V::Float(1.5))]), yarn(1.0, 128.0, 1.5));
    let louder = [kind("yarn"), factor.clone(), original.clone(), ("attn_factor", V::Float(1.5))];
    assert_eq!(scaling(&louder), yarn(4.0, 16.0, 1.5 * suggested));
    let ignored = [kind("yarn"), factor, original, ("yarn_attn_factor", V::Float(1.5))];
    assert_eq!(scaling(&ignored), yarn(4.0, 16.0, suggested));
}

#[test]
fn kv_types_have_names() {
    use lacewing::kernels::KvType;
    assert_eq!(KvType::EACH[0], lacewing::session::LoadOptions::default().kv_type);
    assert!(KvType::EACH.iter().all(|t| KvType::parse(t.name()).unwrap() == *t));
    let e = KvType::parse("q3").unwrap_err();
    assert!(e.code() == "bad-request" && e.to_string().contains("f16 or f32"), "{e}");
}
