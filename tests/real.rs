//! Models that strangers trained and quantised, against what transformers says of the values that gguf-py decodes
//! (tests/goldens/real): prompt ids, logits, greedy tokens, perplexity, on the best tier with the default f16 cache.
//! `node scripts/real-models.mjs` fetches the models. Needs a GPU or a software Vulkan driver.

#![allow(clippy::neg_cmp_op_on_partial_ord)] // !(a <= b) is how a NaN fails

mod common;
#[path = "text/fuzz.rs"]
mod fuzz;

use lacewing::formats::source::open_files;
use lacewing::session::{GenerateOptions, LoadOptions, Model};
use lacewing::text::{Detokenizer, Tokenizer};
use serde_json::Value;
use std::path::Path;

/// The contract's bound of a difference of logits, in standard deviations: activations and cache are f16 here.
const TOLERANCE: f64 = 1e-2;
/// Tokens are compared while the best logit leads by this many standard deviations: ten times the bound.
const CLEAR_MARGIN: f64 = 10.0 * TOLERANCE;
/// Largest relative difference of a perplexity.
const PERPLEXITY_TOLERANCE: f64 = 5e-3;

/// The golden of this name and the model it is about.
fn open(name: &str) -> (Value, Model) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read(root.join(format!("tests/goldens/real/{name}.json"))).expect("the golden");
    let golden: Value = serde_json::from_slice(&golden).expect("JSON");
    let path = root.join("test-models").join(golden["model"]["file"].as_str().expect("a file name"));
    assert!(path.is_file(), "{} is not here: run `node scripts/real-models.mjs`", path.display());
    let files = open_files(path.to_str().expect("UTF-8")).expect("the file opens");
    let gpu = Box::new(common::gpu(None));
    let model = pollster::block_on(Model::load(files, gpu, LoadOptions::default(), &mut |_| {}));
    (golden, model.unwrap_or_else(|e| panic!("{name}: {e}")))
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("numbers").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).expect("logits") as u32
}

fn mean_and_std(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (mean, (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt())
}

fn case<'a>(golden: &'a Value, name: &str) -> &'a Value {
    let cases = golden["cases"].as_array().expect("cases");
    cases.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no case {name}"))
}

/// The prompt becomes the same ids: through the chat template where the case has messages.
fn check_prompts(golden: &Value, model: &Model) {
    for case in golden["cases"].as_array().expect("cases") {
        let found = match case.get("messages") {
            Some(messages) => model.tokenize_chat(messages, &Value::Null),
            None => model.tokenize(case["prompt"].as_str().expect("prompt"), true),
        };
        assert_eq!(found.expect("ids"), ids(&case["ids"]), "{}: prompt ids", case["name"]);
        assert_eq!(model.detokenize(&ids(&case["greedy"]), true).expect("text"), case["text"], "{}", case["name"]);
    }
}

/// One prefill of prompt and expected reply: the logits after the prompt, and the most likely token wherever the margin
/// is clear, also behind places where it is not.
fn check_logits(model: &mut Model, case: &Value) {
    let (prompt, greedy, margin) = (ids(&case["ids"]), ids(&case["greedy"]), numbers(&case["margin"]));
    let last = &case["last"];
    let std = last["std"].as_f64().expect("std");
    let all = [&prompt[..], &greedy[..greedy.len() - 1]].concat();
    let logits = pollster::block_on(model.logits(&all, None)).expect("logits");
    let rows: Vec<&[f32]> = logits.chunks_exact(logits.len() / all.len()).skip(prompt.len() - 1).collect();

    let close = |what: &str, found: f64, expected: f64| {
        let diff = (found - expected).abs() / std;
        assert!(diff <= TOLERANCE, "{}: {what}: {found}, expected {expected}: off by {diff:.1e} std", case["name"]);
        diff
    };
    let (mean, found_std) = mean_and_std(rows[0]);
    close("mean of the logits", mean, last["mean"].as_f64().expect("mean"));
    close("standard deviation of the logits", found_std, std);
    let mut worst = 0.0f64;
    for (id, expected) in ids(&last["top_ids"]).into_iter().zip(numbers(&last["top_logits"])) {
        worst = worst.max(close(&format!("logit of {id}"), f64::from(rows[0][id as usize]), expected));
    }
    assert_eq!(rows.len(), greedy.len());
    let mut compared = 0;
    for i in (0..greedy.len()).filter(|i| margin[*i] > CLEAR_MARGIN * std) {
        assert_eq!(argmax(rows[i]), greedy[i], "{}: token {i} of the reply, margin {}", case["name"], margin[i]);
        compared += 1;
    }
    assert!(compared > 0, "{}: no margin is clear", case["name"]);
    println!("{}: top 20 within {worst:.1e} std, {compared} of {} tokens compared", case["name"], greedy.len());
}

/// Decoding one by one gives the expected reply: the whole of it where every margin is clear, else up to the first that
/// is not.
fn check_reply(model: &mut Model, case: &Value) {
    let (prompt, greedy, margin) = (ids(&case["ids"]), ids(&case["greedy"]), numbers(&case["margin"]));
    let std = case["last"]["std"].as_f64().expect("std");
    let clear = margin.iter().take_while(|m| **m > CLEAR_MARGIN * std).count();
    assert!(clear > 0, "{}: the first margin is not clear", case["name"]);
    let options = GenerateOptions {
        max_tokens: Some(clear as u32),
        temperature: Some(0.0),
        repetition_penalty: Some(1.0),
        ..GenerateOptions::default()
    };
    let (found, text) = pollster::block_on(async {
        model.begin(&prompt, &options).await.expect("begin");
        let (mut found, mut text) = (Vec::new(), String::new());
        while let Some(piece) = model.next().await.expect("next") {
            found.extend(piece.ids);
            text += &piece.text;
        }
        (found, text)
    });
    assert_eq!(found, greedy[..clear], "{}: {text:?}", case["name"]);
    if clear == greedy.len() {
        let reason = serde_json::to_value(model.usage().expect("usage").finish_reason).expect("JSON");
        assert_eq!((&*text, &reason), (case["text"].as_str().expect("text"), &case["finish"]), "{}", case["name"]);
    }
}

/// Perplexity of one window of a text that is not in the prompts. `bos` goes before every window where it is given.
fn check_perplexity(golden: &Value, model: &mut Model, window: usize, bos: Option<u32>) {
    let expected = &golden["perplexity"]["windows"][window];
    let number = |key: &str| expected[key].as_u64().expect(key) as usize;
    // The first position of a window is not scored.
    let unscored = usize::from(bos.is_none());
    let (first, scored) = (number("first"), number("scored"));
    let text = &ids(&golden["perplexity"]["ids"])[first..first + scored + unscored];
    let input: Vec<u32> = bos.into_iter().chain(text.iter().copied()).collect();
    assert_eq!(input.len(), scored + 1);
    let logits = pollster::block_on(model.logits(&input[..scored], None)).expect("logits");
    let rows = logits.chunks_exact(logits.len() / scored);
    let nll: f64 = rows.zip(&input[1..]).map(|(row, id)| negative_log_likelihood(row, *id)).sum();
    let perplexity = |nll: f64| (nll / scored as f64).exp();
    let (found, expected) = (perplexity(nll), perplexity(expected["nll"].as_f64().expect("nll")));
    let off = found / expected - 1.0;
    assert!(off.abs() <= PERPLEXITY_TOLERANCE, "perplexity {found}, expected {expected}: {:.2} %", off * 100.0);
    println!("perplexity {found:.4}, transformers {expected:.4} ({:+.3} %)", off * 100.0);
}

fn negative_log_likelihood(logits: &[f32], id: u32) -> f64 {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from((x - most).exp())).sum();
    sum.ln() - f64::from(logits[id as usize] - most)
}

#[test]
fn smollm2_135m_instruct_q4_1() {
    let (golden, mut model) = open("smollm2");
    check_prompts(&golden, &model);
    for name in ["sky", "fruits", "json", "japanese"] {
        check_logits(&mut model, case(&golden, name));
    }
    // Their margins are clear to the end, so the reply is compared with its end token, too.
    for name in ["code", "emoji", "follow-up"] {
        check_reply(&mut model, case(&golden, name));
    }
    check_perplexity(&golden, &mut model, 0, None);
}

#[test]
fn gemma_3_270m_q4_k_m() {
    const BOS: u32 = 2;
    let (golden, mut model) = open("gemma3-270m");
    check_prompts(&golden, &model);
    // 771 tokens reach beyond the window of 512 of most layers.
    for name in ["water", "code", "story", "unicode", "long"] {
        check_logits(&mut model, case(&golden, name));
    }
    for name in ["water", "numbers"] {
        check_reply(&mut model, case(&golden, name));
    }
    check_perplexity(&golden, &mut model, 0, Some(BOS));
}

/// 300 fuzz texts: ids, ids with BOS, and texts with special tokens as llama.cpp has them
/// (tests/goldens/tokenizers/make_goldens.py), and streams that add up.
#[test]
fn vocabularies_are_those_of_llama_cpp() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read(root.join("tests/goldens/real/tokenizers.json")).expect("the golden");
    let golden: serde_json::Map<String, Value> = serde_json::from_slice(&golden).expect("JSON");
    assert_eq!(golden.len(), 2);
    let texts = fuzz::texts(1, 300);
    for (file, hashes) in golden {
        let path = root.join("test-models").join(&file);
        assert!(path.is_file(), "{} is not here: run `node scripts/real-models.mjs`", path.display());
        let files = open_files(path.to_str().expect("UTF-8")).expect("the file opens");
        let (metadata, _) = pollster::block_on(lacewing::formats::gguf::read(&*files)).expect("metadata");
        let tokenizer = Tokenizer::from_gguf(metadata).expect("a tokenizer");
        let mut differ = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let ids = tokenizer.encode(text, false).expect("ids");
            let with_special = tokenizer.encode(text, true).expect("ids");
            let whole = tokenizer.decode(&ids, false).expect("text");
            let all = [&ids[..], &with_special, &whole.bytes().map(u32::from).collect::<Vec<u32>>()].join(&u32::MAX);
            if fuzz::hash(&all) != hashes.as_str().expect("hashes")[i * 8..i * 8 + 8] {
                differ.push((text, ids.clone()));
            }
            let mut stream = Detokenizer::new(&tokenizer);
            let mut streamed: String = ids.iter().map(|id| stream.push(*id).expect("text")).collect();
            streamed += &stream.finish().expect("text");
            assert_eq!(streamed, tokenizer.decode(&ids, true).expect("text"), "{file}: {text:?}");
        }
        assert!(differ.is_empty(), "{file}: {} texts differ, such as {:?}", differ.len(), differ[0]);
        println!("{file}: {} texts equal", texts.len());
    }
}
