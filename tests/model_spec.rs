//! Opening models: specs of those that run, refusals of the rest.

mod model_support;

use lacewing::Error;
use lacewing::inspect::{inspect, text};
use lacewing::kernels::Activation;
use lacewing::model::build::build;
use lacewing::model::config::{ArchInfo, GenerationDefaults, ModelFiles, PerLayer, open};
use lacewing::model::spec::{Norms, RopeScaling};
use model_support::{Folder, folder, shared};
use pollster::block_on;
use serde_json::{Value, json};

fn opened(path: &str) -> Option<ModelFiles> {
    let path = folder(path)?;
    let files = if path.is_dir() { Folder::directory(&path) } else { Folder::file(&path) };
    Some(block_on(open(&files)).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

fn refusal(path: &str) -> Option<Error> {
    let path = folder(path)?;
    let files = if path.is_dir() { Folder::directory(&path) } else { Folder::file(&path) };
    Some(block_on(open(&files)).err().unwrap_or_else(|| panic!("{} was accepted", path.display())))
}

#[test]
fn golden_llamas_give_their_specs() {
    for (name, kv, window, tied) in [
        ("llama", 2, None, false),
        ("llama-bias", 2, None, false),
        ("llama-tied", 4, None, true),
        ("llama3-rope", 2, None, false),
        ("llama3-rope-v4", 2, None, false),
        ("mistral-swa", 2, Some(8), false),
    ] {
        let Some(m) = opened(&format!("goldens/hf/{name}")) else { return };
        let s = &m.spec;
        assert_eq!(s.arch, if name.starts_with("mistral") { "mistral" } else { "llama" });
        assert_eq!((s.d_model, s.vocab_size, s.context_length, s.layers.len()), (64, 128, 256, 2), "{name}");
        assert_eq!((s.tied_embeddings, s.rms_norm_eps), (tied, 1e-6), "{name}");
        for l in &s.layers {
            let a = l.attention().unwrap();
            assert_eq!((a.n_heads, a.n_kv_heads, a.head_dim, l.d_ff()), (4, kv, 16, 160), "{name}");
            assert_eq!((a.window, l.activation(), a.scale), (window, Activation::Silu, 0.25), "{name}");
            assert_eq!((l.norms, a.qk_norm, a.rope), (Norms::PRE, false, 0), "{name}");
        }
        let rope = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 16.0 };
        let (scaling, theta) = if name.contains("rope") { (rope, 5e5) } else { (RopeScaling::None, 1e4) };
        assert_eq!((s.ropes[0].n_rot, s.ropes[0].theta, &s.ropes[0].scaling), (16, theta, &scaling), "{name}");
        assert_eq!(m.eos_ids, [2]);
        assert!(m.text.gguf.is_none() && m.text.tokenizer_json.is_none());
    }
}

#[test]
fn goldens_unlike_llama_give_their_specs() {
    for name in ["qwen2", "qwen3", "gemma3"] {
        let Some(m) = opened(&format!("goldens/hf/{name}")) else { return };
        let s = &m.spec;
        let gemma = name == "gemma3";
        assert_eq!((s.arch, s.d_model, s.tied_embeddings), (name, 64, name != "qwen2"));
        assert_eq!(s.embedding_scale, if gemma { 8.0 } else { 1.0 }, "{name}: sqrt(64)");
        assert!(s.attentions().all(|a| a.qk_norm == (name != "qwen2")), "{name}");
        let all = Norms { before_mixer: true, after_mixer: true, before_ffn: true, after_ffn: true };
        assert!(s.layers.iter().all(|l| l.norms == if gemma { all } else { Norms::PRE }), "{name}");
        let layers: Vec<_> = s.attentions().map(|a| (a.window, s.ropes[a.rope].theta)).collect();
        let expected = if gemma { vec![(Some(8), 1e4), (None, 1e6), (Some(8), 1e4)] } else { vec![(None, 1e4); 2] };
        assert_eq!(layers, expected, "{name}");
        assert_eq!(s.ropes.len(), if gemma { 2 } else { 1 }, "{name}: equal embeddings are one");
        let dir = folder(&format!("goldens/hf/{name}")).unwrap();
        let report = block_on(inspect(&Folder::directory(&dir))).unwrap();
        assert_eq!(report["spec"]["qkv_bias"], name == "qwen2", "{name}");
    }
}

#[test]
fn windows_follow_the_older_ways_to_write_them() {
    let windows = |name: &str, changes: Value| {
        let files = changed(name, changes)?;
        let spec = block_on(open(&files)).unwrap().spec;
        Some(spec.attentions().map(|a| (a.window, spec.ropes[a.rope].theta)).collect::<Vec<_>>())
    };
    // Gemma 3 in the dialect of transformers 4: a pattern, and a base for the window layers.
    let old = json!({"layer_types": null, "rope_parameters": null, "rope_theta": 5e5, "rope_local_base_freq": 2e4,
        "sliding_window_pattern": 3, "_sliding_window_pattern": null});
    let Some(found) = windows("gemma3", old) else { return };
    assert_eq!(found, [(Some(8), 2e4), (Some(8), 2e4), (None, 5e5)]);
    // Qwen has windows only where it says so, and then in the later layers.
    let quiet = json!({"layer_types": null, "sliding_window": 8, "use_sliding_window": null});
    assert_eq!(windows("qwen2", quiet), Some(vec![(None, 1e4); 2]));
    let asked = json!({"layer_types": null, "sliding_window": 8, "use_sliding_window": true, "max_window_layers": 1});
    assert_eq!(windows("qwen2", asked), Some(vec![(None, 1e4), (Some(8), 1e4)]));
}

#[test]
fn options_that_nothing_computes_are_refused_by_name() {
    for option in ["attn_logit_softcapping", "final_logit_softcapping"] {
        let Some(files) = changed("gemma3", json!({option: 30.0})) else { return };
        let e = block_on(open(&files)).err().unwrap();
        assert!(e.code() == "unsupported-model" && e.to_string().contains(&format!("{option} = 30.0")), "{e}");
    }
}

/// Files as converters and people leave them: metadata that nobody reads, or that other metadata outranks.
#[test]
fn odd_metadata_changes_nothing() {
    let path = |name: &str| std::path::PathBuf::from(format!("tests/goldens/cases/gguf/{name}.gguf"));
    let open_file = |name: &str| block_on(open(&Folder::file(&path(name)))).unwrap_or_else(|e| panic!("{name}: {e}"));
    let plain = open_file("g01-plain");
    let tokenizer = |m: ModelFiles| lacewing::text::Tokenizer::from_gguf(m.text.gguf.unwrap()).unwrap();
    let (spec, eos) = (plain.spec.clone(), plain.eos_ids.clone());
    let expected = tokenizer(plain).encode("abc a\u{1F600}", true).unwrap();
    for name in ["g02-vocab-size", "g03-nul", "g04-latin1-author", "g06-no-scores"] {
        let found = open_file(name);
        assert_eq!((&found.spec, &found.eos_ids), (&spec, &eos), "{name}");
        let ids = tokenizer(found).encode("abc a\u{1F600}", true).unwrap();
        // Without scores other pieces come first.
        assert!(ids == expected || name == "g06-no-scores", "{name}: {ids:?}");
    }
}

#[test]
fn other_goldens_are_refused_by_name() {
    // The repository has only those that run.
    let dir = shared("goldens/hf");
    if !dir.exists() {
        println!("skipped: shared/goldens/hf is not here");
        return;
    }
    let mut refused = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("llama") || ["mistral-swa", "qwen2", "qwen3", "gemma3"].contains(&name.as_str()) {
            continue;
        }
        let e = refusal(&format!("goldens/hf/{name}")).unwrap();
        assert_eq!(e.code(), "unsupported-model", "{name}: {e}");
        // EmbeddingGemma calls itself gemma3_text.
        let why = if name == "embeddinggemma" { "use_bidirectional_attention = true" } else { "supported: llama" };
        assert!(e.to_string().contains(why), "{e}");
        refused += 1;
    }
    assert!(refused > 20);
}

#[test]
fn compressed_goldens_run_or_are_refused() {
    if folder("goldens/compressed").is_none() {
        return;
    }
    for (name, activation) in [("24-dense", Activation::Silu), ("relu", Activation::Relu)] {
        let m = opened(&format!("goldens/compressed/{name}")).unwrap();
        assert!(m.spec.layers.iter().all(|l| l.activation() == activation && l.d_ff() == 256));
    }
    for (name, code, mention) in [
        ("24-bitmask", "unsupported-format", "compressed-tensors"),
        ("24-marlin", "unsupported-format", "compressed-tensors"),
        ("w4-pack", "unsupported-format", "compressed-tensors"),
        ("cats", "unsupported-model", "cats"),
        ("fatrelu", "unsupported-model", "fatrelu"),
    ] {
        let e = refusal(&format!("goldens/compressed/{name}")).unwrap();
        assert!(e.code() == code && e.to_string().contains(mention), "{name}: {e}");
    }
}

#[test]
fn gguf_goldens_give_their_specs() {
    for ty in ["Q4_0", "Q8_0", "Q4_K_M"] {
        let Some(m) = opened(&format!("goldens/gguf-models/llama-{ty}.gguf")) else { return };
        let s = &m.spec;
        assert_eq!((s.arch, s.d_model, s.vocab_size, s.context_length), ("llama", 256, 2048, 512));
        assert_eq!((s.tied_embeddings, s.ropes[0].n_rot, s.ropes[0].theta), (false, 64, 1e4));
        assert!(
            s.layers.len() == 2
                && s.layers.iter().all(|l| l.d_ff() == 512)
                && s.attentions().all(|a| (a.n_heads, a.n_kv_heads) == (4, 2))
        );
        assert_eq!(m.eos_ids, [2]);
        assert!(m.text.gguf.is_some());
    }
}

#[test]
fn trained_stories_give_their_specs() {
    for (path, d_model, heads, vocab, layers, tied) in [
        ("models/stories260K-F16.gguf", 64, (8, 4, 8), 512, 5, true),
        ("models/stories3M-Q8_0.gguf", 192, (6, 2, 32), 4096, 6, true),
        ("models/TinyStories-656K", 128, (8, 4, 16), 2048, 2, true),
    ] {
        let Some(m) = opened(path) else { return };
        let l = m.spec.layers[0].attention().unwrap();
        assert_eq!((m.spec.d_model, (l.n_heads, l.n_kv_heads, l.head_dim)), (d_model, heads), "{path}");
        assert_eq!((m.spec.vocab_size, m.spec.layers.len(), m.spec.tied_embeddings), (vocab, layers, tied), "{path}");
        let path = shared(path);
        let files = if path.is_dir() { Folder::directory(&path) } else { Folder::file(&path) };
        let report = block_on(inspect(&files)).unwrap();
        assert_eq!(report["supported"], true);
        let kv: u64 = (layers as u64) * 2 * u64::from(heads.1 * heads.2);
        assert_eq!(report["kv_bytes_per_token_f16"], kv * 2);
        assert!(report["weight_bytes_per_token"].as_u64().unwrap() > 0);
        assert!(text(&report).contains("weight_bytes_per_token"), "{}", text(&report));
    }
}

/// A directory whose weights are copied from a golden, with keys of config.json replaced.
fn changed(name: &str, changes: Value) -> Option<Folder> {
    let mut files = Folder::directory(&folder(&format!("goldens/hf/{name}"))?);
    let mut config: Value = serde_json::from_slice(&files.files["config.json"]).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    files.files.insert("config.json".into(), config.to_string().into_bytes());
    Some(files)
}

#[test]
fn configs_that_do_not_fit_the_weights_or_the_engine_are_refused() {
    for (changes, code, mention) in [
        (json!({"hidden_size": 60}), "bad-file", "shape [128, 64]"),
        (json!({"vocab_size": 130}), "bad-file", "130"),
        (json!({"head_dim": 24}), "bad-file", "24"),
        (json!({"head_dim": 6}), "unsupported-model", "multiple of 4"),
        (json!({"head_dim": 512}), "unsupported-model", "512"),
        (json!({"head_dim": null, "num_attention_heads": 0}), "bad-file", "heads"),
        (json!({"head_dim": null, "num_attention_heads": 5}), "bad-file", "multiple of 5"),
        (json!({"num_hidden_layers": 3}), "missing-tensor", "model.layers.2."),
        (json!({"num_hidden_layers": 4_000_000_000u32}), "bad-file", "1 to 1024"),
        (json!({"num_hidden_layers": 0}), "bad-file", "layers"),
        (json!({"hidden_size": null}), "bad-file", "width"),
        (json!({"rms_norm_eps": {"__float__": "NaN"}}), "bad-file", "epsilon"),
        (json!({"hidden_act": "gelu"}), "unsupported-model", "gelu"),
        (json!({"attention_bias": true}), "missing-tensor", "q_proj.bias"),
        (json!({"mlp_bias": true}), "missing-tensor", "gate_proj.bias"),
        (json!({"rope_parameters": {"rope_type": "longrope", "factor": 4.0}}), "unsupported-model", "longrope"),
        (json!({"rope_parameters": {"rope_type": "yarn", "factor": 0}}), "bad-file", "factor"),
        (json!({"rope_parameters": {"rope_type": "linear"}}), "bad-file", "factor"),
        (json!({"rope_parameters": {"rope_theta": -1.0}}), "bad-file", "theta"),
        (
            json!({"rope_parameters": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
            "high_freq_factor": 4.0}}),
            "bad-file",
            "low_freq_factor",
        ),
        (json!({"partial_rotary_factor": 2.0}), "bad-file", "partial"),
        (json!({"layer_types": ["full_attention", "linear_attention"]}), "unsupported-model", "linear_attention"),
        (json!({"quantization_config": {"quant_method": "gptq", "bits": 4}}), "unsupported-format", "gptq"),
        (json!({"quantization": {"group_size": 64, "bits": 4}}), "unsupported-format", "mlx"),
        (json!({"model_type": "llama5"}), "unsupported-model", "llama5"),
    ] {
        let Some(files) = changed("llama", changes.clone()) else { return };
        let e = block_on(open(&files)).err().unwrap_or_else(|| panic!("{changes} was accepted"));
        assert!(e.code() == code && e.to_string().contains(mention), "{changes}: {}: {e}", e.code());
    }
}

#[test]
fn harmless_spellings_are_accepted() {
    let yarn =
        |magnitude| RopeScaling::Yarn { factor: 4.0, fast: 32.0, slow: 1.0, original: 64.0, truncate: true, magnitude };
    for (changes, n_rot, scaling) in [
        (
            json!({"rope_parameters": null, "rope_scaling": {"type": "linear", "factor": 2}}),
            16,
            RopeScaling::Linear { factor: 2.0 },
        ),
        (json!({"rope_parameters": {"rope_type": "linear", "factor": 1.0}}), 16, RopeScaling::None),
        (json!({"rope_parameters": {"partial_rotary_factor": 0.5}}), 8, RopeScaling::None),
        (json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}), 16, RopeScaling::None),
        // 1.1386294 = 1 + 0.1 ln 4
        (
            json!({"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 64}}),
            16,
            yarn(1.138_629_436_111_989),
        ),
        (
            json!({"rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 64,
                "mscale": 0.7, "mscale_all_dim": 0.7, "beta_fast": null}}),
            16,
            yarn(1.0),
        ),
        (
            json!({"rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 64,
                "attention_factor": 1.25}}),
            16,
            yarn(1.25),
        ),
        (
            json!({"rope_parameters": {"full_attention": {"rope_type": "default"}, "sliding_attention": null}}),
            16,
            RopeScaling::None,
        ),
        (
            json!({"attention_bias": null, "tie_word_embeddings": null, "quantization_config": null}),
            16,
            RopeScaling::None,
        ),
        // What the tensors say wins over values that may differ by layer; plain Llama ignores a window.
        (json!({"num_attention_heads": 9, "intermediate_size": [1, 2], "sliding_window": 4}), 16, RopeScaling::None),
    ] {
        let Some(files) = changed("llama", changes.clone()) else { return };
        let s = block_on(open(&files)).unwrap_or_else(|e| panic!("{changes}: {e}")).spec;
        assert_eq!((s.ropes[0].n_rot, &s.ropes[0].scaling), (n_rot, &scaling), "{changes}");
        assert!(
            s.attentions().all(|a| (a.n_heads, a.window) == (4, None)) && s.layers.iter().all(|l| l.d_ff() == 160),
            "{changes}"
        );
    }
    let layers = json!({"layer_types": ["sliding_attention", "full_attention"]});
    let Some(files) = changed("mistral-swa", layers) else { return };
    let windows: Vec<_> = block_on(open(&files)).unwrap().spec.attentions().map(|a| a.window).collect();
    assert_eq!(windows, [Some(8), None]);
}

#[test]
fn generation_config_gives_defaults_and_more_end_tokens() {
    let Some(files) = changed("llama", json!({"eos_token_id": [2, 5]})) else { return };
    let json = br#"{"eos_token_id": [5, 7, 900], "do_sample": true, "top_k": 20, "top_p": 0.9, "min_p": 7}"#;
    let files = files.with("generation_config.json", json).with("chat_template.jinja", b"{{ 1 }}");
    let m = block_on(open(&files)).unwrap();
    assert_eq!(m.eos_ids, [2, 5, 7], "ids beyond the vocabulary are none");
    assert_eq!(m.text.chat_template_jinja.as_deref(), Some("{{ 1 }}"));
    let expected = GenerationDefaults {
        temperature: Some(1.0),
        top_k: Some(20),
        top_p: Some(0.9),
        min_p: None,
        repetition_penalty: None,
    };
    assert_eq!(m.generation, expected);
    let greedy = GenerationDefaults::from_json(&json!({"do_sample": false, "temperature": 0.7}));
    assert_eq!(greedy.temperature, Some(0.0));
    let warm = GenerationDefaults::from_json(&json!({"do_sample": true, "temperature": 0.7}));
    assert_eq!(warm.temperature, Some(0.7));
    let odd = GenerationDefaults::from_json(&json!({"do_sample": true, "temperature": 1e-9}));
    assert_eq!(odd.temperature, Some(1.0), "a temperature out of range is as if absent");
    assert_eq!(GenerationDefaults::from_json(&Value::Null), GenerationDefaults::default());
    // A default that nobody could ask for would make every reply fail.
    let out_of_range = GenerationDefaults::from_json(&json!({"temperature": 1e-9, "repetition_penalty": 5.0}));
    assert_eq!(out_of_range, GenerationDefaults::default());
}

#[test]
fn what_is_not_a_model_gets_a_sentence() {
    let named = |name: &str, data: &[u8]| Folder { main: Some(name.into()), ..Folder::default() }.with(name, data);
    for (files, code, mention) in [
        (named("model.safetensors", b"x"), "bad-request", "directory"),
        (named("pytorch_model.bin", b"PK\x03\x04"), "unsupported-format", "pickle"),
        (named("model.onnx", b"onnx"), "unsupported-format", "GGUF"),
        (named("model", b""), "unsupported-format", "GGUF"),
        (Folder::default(), "bad-request", "config.json"),
        (Folder::default().with("config.json", b"{]"), "bad-file", "JSON"),
        (
            Folder::default().with("config.json", b"{\"model_type\": \"llama\"}").with("pytorch_model.bin", b"PK"),
            "unsupported-format",
            "pickle",
        ),
    ] {
        let e = block_on(open(&files)).err().expect("an error");
        assert!(e.code() == code && e.to_string().contains(mention), "{}: {e}", e.code());
    }
}

#[test]
fn inspect_says_why_a_model_cannot_run() {
    let Some(dir) = folder("goldens/hf/olmo2") else { return };
    let report = block_on(inspect(&Folder::directory(&dir))).unwrap();
    assert_eq!((&report["supported"], &report["code"]), (&json!(false), &json!("unsupported-model")));
    assert_eq!(report["info"]["model_type"], "olmo2");
    assert!(text(&report).contains("olmo2 is not supported yet"), "{}", text(&report));
}

#[test]
fn a_moe_gguf_and_odd_metadata_are_refused() {
    use lacewing::formats::gguf::{Metadata, Value as V};
    let base = || -> Vec<(String, V)> {
        vec![("general.architecture".into(), V::String("llama".into())), ("llama.block_count".into(), V::Int(1))]
    };
    let with = |key: &str, value: V| {
        let mut entries = base();
        entries.push((key.into(), value));
        ArchInfo::from_gguf(&Metadata { entries })
    };
    let empty = lacewing::formats::TensorFile::default();
    let e = build(&with("llama.expert_count", V::Int(8)).unwrap(), &empty, None).unwrap_err();
    assert!(e.code() == "unsupported-model" && e.to_string().contains("8 experts"), "{e}");
    for part in ["adapter", "mmproj", "imatrix"] {
        let e = with("general.type", V::String(part.into())).unwrap_err();
        assert!(e.code() == "unsupported-format" && e.to_string().contains(part), "{e}");
    }
    for value in [V::String("model".into()), V::String(String::new()), V::String("finetune".into()), V::Int(1)] {
        with("general.type", value).unwrap();
    }
    for value in [V::Int(-1), V::Int(1 << 40), V::Float(1.5), V::Ints(vec![1, 2]), V::String("8".into())] {
        let e = with("llama.embedding_length", value).unwrap_err();
        assert!(e.code() == "bad-file" && e.to_string().contains("embedding_length"), "{e}");
    }
    let heads = with("llama.attention.head_count_kv", V::Ints(vec![2, 4])).unwrap().n_kv_heads;
    assert_eq!(heads, Some(PerLayer::Each(vec![2, 4])));
    assert_eq!(with("llama.attention.head_count", V::Ints(vec![2, -4])).unwrap_err().code(), "bad-file");
    assert_eq!(ArchInfo::from_gguf(&Metadata::default()).unwrap_err().code(), "bad-file");
}

#[test]
fn turn_ends_of_a_gguf_are_found_by_their_texts() {
    use lacewing::formats::gguf::{Metadata, Value as V};
    let of = |tokens: &[&str]| {
        let tokens: Vec<String> = tokens.iter().map(|t| t.to_string()).collect();
        let n = tokens.len();
        let entries = vec![
            ("general.architecture".into(), V::String("llama".into())),
            ("tokenizer.ggml.tokens".into(), V::Strings(tokens)),
            // As in llama.cpp the text decides: files often forget to make these tokens control tokens.
            ("tokenizer.ggml.token_type".into(), V::Ints(vec![1; n])),
            ("tokenizer.ggml.eos_token_id".into(), V::Int(3)),
            ("tokenizer.ggml.eom_token_id".into(), V::Int(99)),
        ];
        Metadata { entries }
    };
    let meta = of(&["a", "<|eot_id|>", "<|im_end|>", "</s>"]);
    assert_eq!((ArchInfo::from_gguf(&meta).unwrap().eos_ids, meta.end_ids()), (vec![1, 2, 3], vec![3, 1, 2]));
    let channels = of(&["<|end|>", "<|return|>", "<|call|>", "</s>"]);
    assert_eq!(channels.end_ids(), [3, 1, 2], "<|end|> ends a channel where others end the reply");
    assert_eq!(of(&["<|end|>", "a", "b", "</s>"]).end_ids(), [3, 0]);
}
