//! Tokenizers, detokenizer and chat templates against other people's results (tests/../shared).

mod added;
mod broken_bytes;
mod ends;
mod fuzz;
mod goldens;
mod kinds;
mod pre;
mod templates;

use lacewing::Error;
use lacewing::formats::gguf::Metadata;
use lacewing::text::{ChatTemplate, Detokenizer, RenderOptions, Tokenizer, TokenizerConfig};
use serde_json::Value;
use std::path::{Path, PathBuf};
use templates::text_of;

/// A path under the shared folder; None, with a line that says so, when it is not here.
fn shared(path: &str) -> Option<PathBuf> {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    println!("skipped: shared/{path} is not here");
    None
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn gguf_metadata(path: &Path) -> Metadata {
    let files = lacewing::formats::local::open_files(path.to_str().unwrap()).unwrap();
    pollster::block_on(lacewing::formats::gguf::read(&*files)).unwrap().0
}

/// All ids of `text` for the tokenizer, and the same through the stream.
fn check_stream(tokenizer: &Tokenizer, ids: &[u32], label: &str) {
    let mut stream = Detokenizer::new(tokenizer);
    let mut pieces = Vec::new();
    for &id in ids {
        let piece = stream.push(id).unwrap();
        assert!(!piece.contains('\u{FFFD}'), "{label}: a piece with a replacement character: {piece:?}");
        pieces.push(piece);
    }
    pieces.push(stream.finish().unwrap());
    assert_eq!(pieces.concat(), tokenizer.decode(ids, true).unwrap(), "{label}: pieces {pieces:?}");
}

#[test]
fn tokenizer_json_goldens() {
    for name in ["HuggingFaceTB__SmolLM2-1.7B-Instruct-16k", "microsoft__Phi-3.5-mini-instruct"] {
        let Some(dir) = shared(&format!("tokenizers/{name}")) else { return };
        let tokenizer =
            Tokenizer::from_json(std::fs::read(dir.join("tokenizer.json")).unwrap(), TokenizerConfig::default())
                .unwrap();
        let golden = json(&dir.join("golden.json"));
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 56);
        assert_eq!(tokenizer.vocab_size() as u64, golden["vocab"].as_u64().unwrap());
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let ids = tokenizer.encode(text, false).unwrap();
            assert_eq!(ids, ids_of(&case["ids"]), "{name}: {text:?}");
            assert_eq!(tokenizer.encode(text, true).unwrap(), ids_of(&case["ids_with_special"]), "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), case["decoded"], "{name}: {text:?}");
            check_stream(&tokenizer, &ids, name);
        }
    }
}

#[test]
fn gguf_vocabulary_goldens() {
    let Some(dir) = shared("tokenizers/gguf") else { return };
    for name in ["llama-spm", "gpt-2", "deepseek-coder", "bert-bge"] {
        let file = dir.join(format!("ggml-vocab-{name}.gguf"));
        let tokenizer = Tokenizer::from_gguf(gguf_metadata(&file)).unwrap();
        let with = |suffix: &str| std::fs::read_to_string(format!("{}.{suffix}", file.display())).unwrap();
        let (inputs, outputs) = (with("inp"), with("out"));
        let separator = "\n__ggml_vocab_test__\n";
        let inputs: Vec<&str> = inputs.strip_suffix(separator).unwrap().split(separator).collect();
        let outputs: Vec<&str> = outputs.lines().collect();
        assert_eq!(inputs.len(), outputs.len(), "{name}");
        let mut wrong = Vec::new();
        for (text, expected) in inputs.iter().zip(outputs) {
            let expected: Vec<u32> = expected.split_whitespace().map(|id| id.parse().unwrap()).collect();
            let ids = tokenizer.encode(text, false).unwrap();
            if ids != expected {
                wrong.push(format!("{text:?}\n  is       {ids:?}\n  expected {expected:?}"));
            }
            check_stream(&tokenizer, &expected, name);
        }
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn prompts_of_the_model_goldens() {
    let Some(models) = shared("models") else { return };
    let gguf = |file: &str| Tokenizer::from_gguf(gguf_metadata(&models.join(file))).unwrap();
    let dir = models.join("TinyStories-656K");
    let (config, map) = (json(&dir.join("tokenizer_config.json")), json(&dir.join("special_tokens_map.json")));
    let files = TokenizerConfig { config: Some(&config), special_tokens_map: Some(&map), added_tokens: None };
    let hugging_face = Tokenizer::from_json(std::fs::read(dir.join("tokenizer.json")).unwrap(), files).unwrap();
    assert_eq!((hugging_face.bos(), hugging_face.eos_ids()), (Some(1), vec![2]));
    assert_eq!(hugging_face.bos_text().as_deref(), Some("<|start_story|>"));
    for (name, tokenizer) in [
        ("stories260K", gguf("stories260K-F16.gguf")),
        ("stories3M", gguf("stories3M-Q8_0.gguf")),
        ("TinyStories-656K", hugging_face),
    ] {
        for case in json(&models.join(format!("golden/{name}.json")))["cases"].as_array().unwrap() {
            let prompt = case["prompt"].as_str().unwrap();
            let ids = tokenizer.encode(prompt, true).unwrap();
            assert_eq!(ids, ids_of(&case["ids"]), "{name}: {prompt:?}");
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), prompt, "{name}");
            let bos = tokenizer.bos_text().unwrap();
            assert_eq!(tokenizer.encode(&format!("{bos}a"), true).unwrap()[..2].iter().filter(|&&i| i == 1).count(), 1);
        }
    }
}

fn ids_of(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// 26 July 2024, as in make_golden.py.
const NOW: i64 = 1_721_952_000;

/// Ids that no text gives: broken bytes, special tokens, ids beyond the vocabulary. Pieces still add up.
#[test]
fn any_ids_stream_as_they_decode() {
    let Some(dir) = shared("tokenizers/gguf") else { return };
    for name in ["gpt-2", "deepseek-coder", "bert-bge", "llama-spm"] {
        let tokenizer = Tokenizer::from_gguf(gguf_metadata(&dir.join(format!("ggml-vocab-{name}.gguf")))).unwrap();
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let n = tokenizer.vocab_size() as u32;
        for _ in 0..100 {
            let ids: Vec<u32> = (0..60).map(|_| random() % (n + 50)).collect();
            let mut stream = Detokenizer::new(&tokenizer);
            let mut text: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            text += &stream.finish().unwrap();
            assert_eq!(text, tokenizer.decode(&ids, true).unwrap(), "{name} {ids:?}");
        }
        let ids: Vec<u32> = (0..20_000).map(|_| random() % 200).collect();
        let start = std::time::Instant::now();
        let mut stream = Detokenizer::new(&tokenizer);
        ids.iter().for_each(|&id| drop(stream.push(id).unwrap()));
        assert!(start.elapsed().as_secs() < 10, "{name}: {:?} for {} ids", start.elapsed(), ids.len());
    }
}

#[test]
fn bad_vocabularies_are_errors() {
    use lacewing::formats::gguf::Value as Meta;
    let strings = |list: &[&str]| Meta::Strings(list.iter().map(|s| s.to_string()).collect());
    let meta = |entries: &[(&str, Meta)]| Metadata {
        entries: entries.iter().map(|(k, v)| (format!("tokenizer.ggml.{k}"), v.clone())).collect(),
    };
    let model = |name: &str| ("model", Meta::String(name.into()));
    let tokens = ("tokens", strings(&["<unk>", "<s>", "</s>", "a", "b", "ab"]));
    for (entries, code) in [
        (vec![], "bad-file"),
        (vec![model("llama")], "bad-file"),
        (vec![model("t5"), tokens.clone()], "unsupported-format"),
        (vec![model("llama"), tokens.clone(), ("scores", Meta::Floats(vec![0.0; 5]))], "bad-file"),
        (vec![model("llama"), tokens.clone(), ("scores", strings(&["0"; 6]))], "bad-file"),
        (vec![model("llama"), tokens.clone(), ("token_type", Meta::Skipped("a list of lists"))], "bad-file"),
        (vec![model("gpt2"), tokens.clone()], "bad-file"),
        (
            vec![model("gpt2"), tokens.clone(), ("merges", strings(&[])), ("token_type", Meta::Ints(vec![1]))],
            "bad-file",
        ),
    ] {
        let Err(error) = Tokenizer::from_gguf(meta(&entries)) else { panic!("{entries:?} was accepted") };
        assert_eq!(error.code(), code, "{error}");
    }
    assert_eq!(Tokenizer::from_json(b"{}", TokenizerConfig::default()).err().unwrap().code(), "bad-file");
    // Merges that name unknown tokens, and special ids beyond the vocabulary do not matter.
    let odd = vec![
        model("gpt2"),
        tokens,
        ("pre", Meta::String("gpt-2".into())),
        ("merges", strings(&["a b", "x y", "", "ab"])),
        ("bos_token_id", Meta::Int(999)),
    ];
    let tokenizer = Tokenizer::from_gguf(meta(&odd)).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.encode("aba", true).unwrap()), (None, vec![5, 3]));
}

/// Scores as files in the wild have them: none, whole numbers, and more of them (and of types) than tokens.
#[test]
fn scores_count_as_far_as_they_go() {
    use lacewing::formats::gguf::Value as Meta;
    let tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "ba", "\u{2581}"].map(String::from).to_vec();
    let encode = |scores: Option<Meta>| {
        let mut entries = vec![("model", Meta::String("llama".into())), ("tokens", Meta::Strings(tokens.clone()))];
        entries.push(("token_type", Meta::Ints(vec![2, 3, 3, 1, 1, 1, 1, 1, 3, 3])));
        entries.push(("add_space_prefix", Meta::Bool(false)));
        entries.extend(scores.map(|s| ("scores", s)));
        let entries = entries.into_iter().map(|(k, v)| (format!("tokenizer.ggml.{k}"), v)).collect();
        Tokenizer::from_gguf(Metadata { entries }).unwrap().encode("aba", false).unwrap()
    };
    let right = vec![0.0, 0.0, 0.0, -1.0, -1.0, -3.0, -2.0, -1.0];
    assert_eq!(encode(None), [5, 3], "the leftmost pair first");
    assert_eq!(encode(Some(Meta::Floats(right.clone()))), [3, 6]);
    assert_eq!(encode(Some(Meta::Floats([&right[..], &[9.0; 4]].concat()))), [3, 6]);
    assert_eq!(encode(Some(Meta::Ints(right.iter().map(|s| *s as i64).collect()))), [3, 6]);
}

/// As llama.cpp counts: the flag decides, not the template.
#[test]
fn a_gguf_that_adds_bos_gets_one_before_a_chat() {
    use lacewing::formats::gguf::Value as Meta;
    use lacewing::session::text::Text;
    let strings = |list: &[&str]| Meta::Strings(list.iter().map(|s| s.to_string()).collect());
    let ids = |kind: &str, add_bos: Option<bool>, template: &str| {
        let mut entries = vec![
            ("tokenizer.ggml.model", Meta::String(kind.into())),
            ("tokenizer.ggml.tokens", strings(&["<unk>", "<s>", "</s>", "a", "<|user|>"])),
            ("tokenizer.ggml.token_type", Meta::Ints(vec![2, 3, 3, 1, 4])),
            ("tokenizer.ggml.scores", Meta::Floats(vec![0.0; 5])),
            ("tokenizer.ggml.merges", strings(&[])),
            ("tokenizer.ggml.bos_token_id", Meta::Int(1)),
            ("tokenizer.ggml.eos_token_id", Meta::Int(2)),
            ("tokenizer.ggml.add_space_prefix", Meta::Bool(false)),
            ("tokenizer.chat_template", Meta::String(template.into())),
        ];
        entries.extend(add_bos.map(|add| ("tokenizer.ggml.add_bos_token", Meta::Bool(add))));
        let gguf = Some(Metadata { entries: entries.into_iter().map(|(k, v)| (k.to_string(), v)).collect() });
        let text = Text::new(lacewing::model::open::TextFiles { gguf, ..Default::default() }).unwrap();
        text.chat(&serde_json::json!([{"role": "user", "content": "a"}]), &Value::Null).unwrap()
    };
    let (none, one) = ("<|user|>{{ messages[0].content }}", "{{ bos_token }}<|user|>{{ messages[0].content }}");
    for kind in ["llama", "gpt2"] {
        for template in [none, one] {
            assert_eq!(ids(kind, Some(true), template), [1, 4, 3], "{kind} {template}");
        }
        assert_eq!(ids(kind, Some(true), "{{ bos_token }}<s>a"), [1, 3], "{kind}");
        assert_eq!(ids(kind, Some(false), none), [4, 3], "{kind}");
        assert_eq!(ids(kind, Some(false), one), [1, 4, 3], "{kind}");
    }
    // Without the flag the kind of the vocabulary decides.
    assert_eq!(ids("llama", None, none), [1, 4, 3]);
    assert_eq!(ids("gpt2", None, none), [4, 3]);
    // A Hugging Face directory: nothing is added to what the template writes.
    assert_eq!(text_of("plain", None).unwrap().chat(&serde_json::json!([]), &Value::Null).unwrap(), [1]);
}
