//! Every `tokenizer.ggml.pre` against llama.cpp, whose ids tests/goldens/tokenizers/make_goldens.py has hashed.

use super::fuzz::hash;
use super::goldens::{golden, strings};
use super::{check_stream, fuzz};
use lacewing::formats::gguf::{Metadata, Value as Meta};
use lacewing::text::Tokenizer;
use serde_json::Value;

/// A vocabulary of these files with a `tokenizer.ggml.pre`.
fn gguf(vocab: &Value, model: &str, pre: Option<&str>) -> lacewing::Result<Tokenizer> {
    let tokens = strings(&vocab["tokens"]);
    let id = |text: &str| Meta::Int(tokens.iter().position(|t| t == text).unwrap() as i128);
    let types = vocab["types"].as_array().unwrap().iter().map(|kind| kind.as_i64().unwrap()).collect();
    let mut entries = vec![
        ("model", Meta::String(model.into())),
        ("bos_token_id", id("<s>")),
        ("eos_token_id", id("</s>")),
        ("tokens", Meta::Strings(tokens)),
        ("token_type", Meta::Ints(types)),
        ("merges", Meta::Strings(strings(&vocab["merges"]))),
    ];
    entries.extend(pre.map(|pre| ("pre", Meta::String(pre.into()))));
    let entries = entries.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect();
    Tokenizer::from_gguf(Metadata { entries })
}

/// All 300 texts for all names: ids as llama.cpp has them, the text again from them, and the same as a stream.
#[test]
fn every_pre_cuts_as_in_llama_cpp() {
    let (bpe, spm, golden) = (golden("bpe.json"), golden("spm.json"), golden("goldens.json"));
    let texts = fuzz::texts(1, 300);
    let mut wrong = Vec::new();
    let mut names_seen = 0;
    for (hashes, names) in golden["gpt2"].as_object().unwrap() {
        assert_eq!(hashes.len(), 8 * texts.len());
        for name in names.as_array().unwrap() {
            let name = name.as_str().unwrap();
            names_seen += 1;
            let raw = ["gemma4", "granite-embed-multi-311m", "sarvam-moe", "mmbert", "whitespace"].contains(&name);
            let model = if name == "whitespace" { name } else { "gpt2" };
            let pre = Some(name).filter(|name| !name.is_empty());
            let tokenizer = gguf(if raw { &spm } else { &bpe }, model, pre).unwrap();
            let mut differ = Vec::new();
            for (i, text) in texts.iter().enumerate() {
                let ids = tokenizer.encode(text, false).unwrap();
                if hash(&ids) != hashes[i * 8..i * 8 + 8] {
                    differ.push(text);
                }
                if !raw {
                    assert_eq!(tokenizer.decode(&ids, false).unwrap(), *text, "{name}");
                }
                // Names with the same ids need not be streamed again.
                if names[0] == name {
                    check_stream(&tokenizer, &ids, name);
                }
            }
            let shortest = differ.iter().min_by_key(|text| text.len());
            wrong.extend(shortest.map(|text| format!("{name}: {} texts, such as {text:?}", differ.len())));
        }
    }
    assert!(names_seen > 90, "{names_seen}");
    assert!(wrong.is_empty(), "of {names_seen} names:\n{}", wrong.join("\n"));
}

#[test]
fn an_unknown_pre_is_refused_by_name() {
    let bpe = golden("bpe.json");
    for name in ["no-such-pre", "qwen3", "Llama-bpe", " gpt-2"] {
        let error = gguf(&bpe, "gpt2", Some(name)).err().expect(name);
        assert_eq!(error.code(), "unsupported-format", "{error}");
        assert!(error.to_string().contains(&format!("\"{name}\"")), "{error}");
    }
    // Kinds of vocabularies, too.
    for model in ["t5", "rwkv", "plamo2", "hybriddna", "none", "no_vocab", "x"] {
        let error = gguf(&bpe, model, None).err().expect(model);
        assert_eq!(error.code(), "unsupported-format", "{error}");
        assert!(error.to_string().contains(&format!("\"{model}\"")), "{error}");
    }
    // SentencePiece and WordPiece know no pre; llama.cpp does not look at it.
    assert!(gguf(&golden("spm.json"), "llama", Some("no-such-pre")).is_ok());
}
