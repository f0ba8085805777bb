//! SentencePiece and WordPiece vocabularies of GGUF against llama.cpp, and tokenizer.json files against the tokenizers
//! library: ids, ids with BOS and the like, texts and streams, as tests/goldens/tokenizers/make_goldens.py has hashed them.

use super::fuzz::hash;
use super::goldens::{golden, strings};
use super::{check_stream, fuzz};
use lacewing::formats::gguf::{Metadata, Value as Meta};
use lacewing::text::{Tokenizer, TokenizerConfig};
use serde_json::Value;

const NORMAL: i64 = 1;
const CONTROL: i64 = 3;
const BYTE: i64 = 6;

/// The vocabulary as one kind, with the keys of a golden.
fn gguf(vocab: &Value, model: &str, keys: &serde_json::Map<String, Value>) -> Tokenizer {
    let mut tokens = strings(&vocab["tokens"]);
    let id = |text: &str| Meta::Int(tokens.iter().position(|t| t == text).unwrap() as i128);
    let mut types: Vec<i64> = vocab["types"].as_array().unwrap().iter().map(|kind| kind.as_i64().unwrap()).collect();
    let mut entries =
        vec![("bos_token_id", id("<s>")), ("eos_token_id", id("</s>")), ("unknown_token_id", id("<unk>"))];
    if model == "bert" {
        entries.push(("seperator_token_id", id("</s>")));
        types.iter_mut().filter(|kind| **kind == BYTE).for_each(|kind| *kind = NORMAL);
    }
    for text in keys.get("more").map(strings).unwrap_or_default() {
        tokens.push(text);
        types.push(CONTROL);
    }
    if model == "llama" && !keys.contains_key("scores") {
        // The first merge has the best score.
        let ranks = strings(&vocab["merges"]);
        let rank = |token: &String| ranks.iter().rposition(|merge| merge.replacen(' ', "", 1) == *token);
        let score = |token| rank(token).map_or(0.0, |rank| -(rank as f32));
        entries.push(("scores", Meta::Floats(tokens.iter().map(score).collect())));
    }
    entries.extend([
        ("model", Meta::String(model.into())),
        ("tokens", Meta::Strings(tokens)),
        ("token_type", Meta::Ints(types)),
    ]);
    let mut entries: Vec<(String, Meta)> =
        entries.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect();
    for (key, value) in keys {
        match value {
            Value::Bool(value) => entries.push((format!("tokenizer.ggml.{key}"), Meta::Bool(*value))),
            Value::String(value) => entries.push((key.clone(), Meta::String(value.clone()))),
            _ => {}
        }
    }
    Tokenizer::from_gguf(Metadata { entries }).unwrap()
}

/// The hash of all that a tokenizer says of a text. Checks the stream, too.
fn hash_of_all(tokenizer: &Tokenizer, text: &str, label: &str) -> String {
    const APART: u32 = u32::MAX;
    let ids = tokenizer.encode(text, false).unwrap();
    check_stream(tokenizer, &ids, label);
    let mut all = [&ids[..], &tokenizer.encode(text, true).unwrap()].join(&APART);
    for skip in [true, false] {
        all.push(APART);
        all.extend(tokenizer.decode(&ids, skip).unwrap().bytes().map(u32::from));
    }
    hash(&all)
}

/// Whether a text has white space beyond ASCII behind an added token.
fn other_space_follows(vocab: &Value, text: &str) -> bool {
    let added = ["[tool]", "<|user|>", "<|end|>", "</s>"];
    assert!(added.iter().all(|token| strings(&vocab["tokens"]).iter().any(|t| t == token)));
    let follows = |rest: &str| {
        rest.trim_start_matches(|c: char| c.is_ascii() && c.is_whitespace()).starts_with(char::is_whitespace)
    };
    added.iter().any(|token| text.split(token).skip(1).any(follows))
}

#[test]
fn sentencepiece_and_wordpiece_are_those_of_llama_cpp() {
    let (vocab, golden) = (golden("spm.json"), golden("goldens.json"));
    let texts = fuzz::texts(1, 300);
    let mut wrong = Vec::new();
    let rows = golden["others"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    for row in rows {
        let (model, keys) = (row["model"].as_str().unwrap(), row["keys"].as_object().unwrap());
        let hashes = row["hashes"].as_str().unwrap();
        assert_eq!(hashes.len(), 8 * texts.len());
        let tokenizer = gguf(&vocab, model, keys);
        let mut differ = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            // Behind tokens of Phi-3 transformers strips any white space, and so do we; llama.cpp only that of ASCII.
            let wider = keys.contains_key("general.name") && other_space_follows(&vocab, text);
            if hash_of_all(&tokenizer, text, model) != hashes[i * 8..i * 8 + 8] && !wider {
                differ.push((text, tokenizer.encode(text, true).unwrap()));
            }
        }
        let shortest = differ.iter().min_by_key(|(text, ..)| text.len());
        wrong
            .extend(shortest.map(|shortest| format!("{model} {keys:?}: {} texts, such as {shortest:?}", differ.len())));
    }
    assert!(wrong.is_empty(), "of {} vocabularies:\n{}", rows.len(), wrong.join("\n"));
}

#[test]
fn tokenizer_json_files_are_those_of_the_library() {
    let (golden_of_all, texts) = (golden("goldens.json"), fuzz::texts(1, 300));
    let rows = golden_of_all["json"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let vocab = golden(row["vocab"].as_str().unwrap());
        let mut file = row["file"].clone();
        let ids = strings(&vocab["tokens"]).into_iter().zip((0..).map(Value::from));
        file["model"]["vocab"] = Value::Object(ids.collect());
        file["model"]["merges"] = vocab["merges"].clone();
        let config = serde_json::json!({"bos_token": "<s>"});
        let files = TokenizerConfig { config: Some(&config), ..Default::default() };
        let tokenizer = Tokenizer::from_json(file.to_string(), files).unwrap();
        let hashes = row["hashes"].as_str().unwrap();
        let label = format!("{} {}", row["vocab"], row["file"]["pre_tokenizer"]);
        let differ: Vec<&String> = (texts.iter().enumerate())
            .filter(|(i, text)| hash_of_all(&tokenizer, text, &label) != hashes[i * 8..i * 8 + 8])
            .map(|(_, text)| text)
            .collect();
        assert!(
            differ.is_empty(),
            "{label}: {} texts, such as {:?}",
            differ.len(),
            differ.iter().min_by_key(|t| t.len())
        );
    }
}
