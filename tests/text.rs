//! Tokenizers, detokenizer and chat templates against other people's results (tests/../shared).

mod text_support;

use lacewing::Error;
use lacewing::text::{ChatTemplate, Detokenizer, RenderOptions, Tokenizer};
use serde_json::Value;
use text_support::{gguf_metadata, json, shared};

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
        let tokenizer = Tokenizer::from_json(&std::fs::read(dir.join("tokenizer.json")).unwrap(), None, None).unwrap();
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
        let tokenizer = Tokenizer::from_gguf(&gguf_metadata(&file)).unwrap();
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
    let gguf = |file: &str| Tokenizer::from_gguf(&gguf_metadata(&models.join(file))).unwrap();
    let dir = models.join("TinyStories-656K");
    let hugging_face = Tokenizer::from_json(
        &std::fs::read(dir.join("tokenizer.json")).unwrap(),
        Some(&json(&dir.join("tokenizer_config.json"))),
        Some(&json(&dir.join("special_tokens_map.json"))),
    )
    .unwrap();
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

#[test]
fn chat_template_goldens() {
    let Some(dir) = shared("chat-templates") else { return };
    let mut wrong = Vec::new();
    let golden = json(&dir.join("golden.json"));
    assert_eq!(golden.as_object().unwrap().len(), 9);
    for (file, cases) in golden.as_object().unwrap() {
        let source = std::fs::read_to_string(dir.join(file)).unwrap();
        let template = ChatTemplate::new(&source, Some("<s>"), Some("</s>")).unwrap();
        assert_eq!(cases.as_array().unwrap().len(), 7);
        for (i, case) in cases.as_array().unwrap().iter().enumerate() {
            let options = RenderOptions {
                add_generation_prompt: case["add_generation_prompt"].as_bool().unwrap(),
                now: Some(NOW),
                ..Default::default()
            };
            let result = template.render(&case["messages"], &case["tools"], &options);
            let fits = match (&result, case["text"].as_str(), case["error"].as_str()) {
                (Ok(text), Some(expected), _) => text == expected,
                (Err(Error::BadRequest(message)), None, Some(expected)) => {
                    expected.strip_prefix("TemplateError: ") == Some(message)
                }
                _ => false,
            };
            if !fits {
                wrong.push(format!("{file} case {i}:\n{result:?}\nexpected {} {}", case["text"], case["error"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
