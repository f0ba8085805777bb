//! The small files beside a tokenizer.json against AutoTokenizer of transformers, whose results
//! tests/goldens/tokenizers/make_added.py has hashed.

use super::fuzz::hash;
use super::goldens::{golden, strings};
use super::templates::words;
use lacewing::text::{Tokenizer, TokenizerConfig};
use serde_json::{Value, json};

/// Random variants: tokens that only some file knows, with flags, by ids inside, beyond and with holes, named by text
/// or object, in whatever file.
#[test]
fn what_small_files_add_is_what_transformers_adds() {
    let golden = golden("added.json");
    let texts = strings(&golden["texts"]);
    let mut wrong = Vec::new();
    let variants = golden["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 100);
    for variant in variants {
        let mut file = golden["base"].clone();
        file["post_processor"] = variant["post_processor"].clone();
        file["added_tokens"] = variant["added_tokens"].clone();
        for token in file["added_tokens"].as_array_mut().unwrap() {
            for flag in ["single_word", "lstrip", "rstrip", "normalized", "special"] {
                token.as_object_mut().unwrap().entry(flag).or_insert(Value::Bool(false));
            }
        }
        let beside = |i: usize| Some(&variant["files"][i]).filter(|file| !file.is_null());
        let files = TokenizerConfig { config: beside(0), special_tokens_map: beside(1), added_tokens: beside(2) };
        let tokenizer = Tokenizer::from_json(file.to_string(), files).unwrap();
        let ends = json!([tokenizer.bos(), tokenizer.eos_ids().first()]);
        let ids: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text, true).unwrap()).collect();
        let shown: Vec<String> = ids.iter().map(|ids| tokenizer.decode(ids, true).unwrap()).collect();
        let shown_hashes: String =
            shown.iter().map(|text| hash(&text.bytes().map(u32::from).collect::<Vec<u32>>())).collect();
        let hashes: String = ids.iter().map(|ids| hash(ids)).collect();
        if (&ends, hashes.as_str(), shown_hashes.as_str())
            != (&variant["ends"], variant["ids"].as_str().unwrap(), variant["shown"].as_str().unwrap())
        {
            wrong.push(format!("{variant}\n  {ends} {ids:?} {shown:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), variants.len(), wrong.join("\n"));
}

/// The ids are those of transformers for the same files.
#[test]
fn tokens_that_only_tokenizer_config_knows_are_added() {
    let flags = |content: &str, special: bool| serde_json::json!({"content": content, "lstrip": false, "rstrip": false, "normalized": false, "single_word": false, "special": special});
    let decoder = serde_json::json!({"3": flags("<|im_start|>", true), "0": flags("?", true), "4": flags("<|im_end|>", true), "5": flags("<think>", false)});
    let load = |config: Value, map: Option<Value>| {
        let files = TokenizerConfig { config: Some(&config), special_tokens_map: map.as_ref(), added_tokens: None };
        Tokenizer::from_json(words(&["?", "hi", "you"]), files).unwrap()
    };
    // As the file has it, and as text (as a large file is kept).
    for decoder in [decoder.clone(), Value::String(decoder.to_string())] {
        let config = serde_json::json!({"eos_token": "<|im_end|>", "pad_token": {"content": "[PAD]"}, "additional_special_tokens": ["[A]", "<|im_start|>"], "added_tokens_decoder": decoder});
        // Where there is a list, special_tokens_map.json does not count.
        let tokenizer = load(config, Some(serde_json::json!({"mask_token": "[MASK]"})));
        let ids = tokenizer.encode("<|im_start|>hi<think>you<|im_end|>[PAD][A]", false).unwrap();
        assert_eq!(ids, [3, 1, 5, 2, 4, 6, 7]);
        assert_eq!((tokenizer.eos_ids(), tokenizer.eos_text().as_deref()), (vec![4], Some("<|im_end|>")));
        assert_eq!((tokenizer.vocab_size(), tokenizer.token_id("[MASK]")), (8, None));
        let special: Vec<u32> = (0..8).filter(|id| tokenizer.is_special(*id)).collect();
        assert_eq!(special, [0, 3, 4, 6, 7]);
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), "hi <think> you");
    }
    let map = serde_json::json!({"eos_token": {"content": "</s>"}, "pad_token": "</s>"});
    let tokenizer = load(serde_json::json!({}), Some(map));
    assert_eq!((tokenizer.eos_ids(), tokenizer.encode("hi</s>", false).unwrap()), (vec![3], vec![1, 3]));
    let bad = serde_json::json!({"added_tokens_decoder": {"x": 1}});
    let error = Tokenizer::from_json(words(&["?"]), TokenizerConfig { config: Some(&bad), ..Default::default() })
        .err()
        .unwrap();
    assert!(error.code() == "bad-file" && error.to_string().contains("added_tokens_decoder"), "{error}");
}

/// transformers refuses the file; here, as in the files beside it, the mark means nothing.
#[test]
fn a_byte_order_mark_before_tokenizer_json_is_skipped() {
    let file = [&b"\xEF\xBB\xBF"[..], &words(&["?", "hi"])].concat();
    let tokenizer = Tokenizer::from_json(file, TokenizerConfig::default()).unwrap();
    assert_eq!(tokenizer.encode("hi", false).unwrap(), [1]);
}

/// The post-processor adds BOS, but never to a text that has it.
#[test]
fn a_text_that_begins_with_bos_gets_no_second_one() {
    let golden = golden("added.json");
    let mut file = golden["base"].clone();
    let flags = json!({"single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    file["added_tokens"] = json!([{"id": 35, "content": "<s>"}]);
    file["added_tokens"][0].as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
    let config = json!({"bos_token": "<s>"});
    let files = TokenizerConfig { config: Some(&config), ..Default::default() };
    let encode =
        |file: &Value, text: &str| Tokenizer::from_json(file.to_string(), files).unwrap().encode(text, true).unwrap();
    let written = [[35, 0].to_vec(), [35, 35, 0].to_vec(), vec![0]];
    let texts = ["<s>a", "<s><s>a", "a"];
    for (text, ids) in texts.iter().zip(&written) {
        assert_eq!(encode(&file, text), *ids, "nobody adds one to {text}");
    }
    file["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [35], "tokens": ["<s>"]}},
    });
    assert_eq!(encode(&file, "a"), [35, 0]);
    assert_eq!(encode(&file, "<s>a"), [35, 0]);
    assert_eq!(encode(&file, "<s><s>a"), [35, 35, 0]);
    assert_eq!(encode(&file, ""), [35]);
}

/// Which of the files of a directory are read, and which count for nothing: those may even be broken.
#[test]
fn added_tokens_decoder_makes_the_older_files_count_for_nothing() {
    use lacewing::formats::source::MemoryFiles;
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/hf/llama-tied");
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let open = |files: &[(&str, Value)]| {
        let mut all = MemoryFiles::new()
            .with("config.json", read("config.json"))
            .with("model.safetensors", read("model.safetensors"))
            .with("tokenizer.json", words(&["?", "hi"]));
        for (name, file) in files {
            all = all.with(name, file.as_str().map_or(file.to_string(), String::from).into_bytes());
        }
        let files = pollster::block_on(lacewing::model::open::open(&all))?;
        lacewing::session::text::Text::new(files.text)
    };
    let ids = |files: &[(&str, Value)]| {
        let text = open(files).unwrap();
        let tokenizer = text.tokenizer().unwrap();
        (tokenizer.eos_ids(), tokenizer.encode("alpha hi beta gamma delta", false).unwrap())
    };
    let added = ("added_tokens.json", json!({"alpha": 2}));
    let map = ("special_tokens_map.json", json!({"eos_token": "beta", "image_token": "gamma", "x": "delta"}));
    assert_eq!(ids(std::slice::from_ref(&added)), (vec![], vec![2, 1, 0, 0, 0]));
    assert_eq!(ids(&[added, map]), (vec![3], vec![2, 1, 3, 4, 0]));
    let config = json!({"eos_token": "delta", "added_tokens_decoder": {"7": {"content": "gamma"}}});
    let broken = [("added_tokens.json", json!("{")), ("special_tokens_map.json", json!("{"))];
    let config = [("tokenizer_config.json", config)];
    assert_eq!(ids(&[&config[..], &broken].concat()), (vec![3], vec![0, 1, 0, 2, 3]));
    for file in broken {
        let error = open(std::slice::from_ref(&file)).err().unwrap();
        assert!(error.code() == "bad-file" && error.to_string().contains(file.0), "{error}");
    }
}

/// As transformers hands them over.
#[test]
fn chat_templates_know_the_named_tokens() {
    use lacewing::model::open::TextFiles;
    let template = "{{ pad_token }} {{ image_token }} {{ unk_token }} {{ messages[0].content }}{{ eos_token }}";
    let text = lacewing::session::text::Text::new(TextFiles {
        tokenizer_json: Some(words(&["?", "hi", "you", "end"])),
        tokenizer_config: Some(json!({"chat_template": template, "pad_token": "hi",
            "eos_token": "end", "extra_special_tokens": {"messages": "?"}})),
        added_tokens: Some(json!({"[J]": 4})),
        special_tokens_map: Some(json!({"image_token": "[J]", "eos_token": "you"})),
        ..TextFiles::default()
    });
    let text = text.unwrap();
    let ids = text.chat(&json!([{"role": "user", "content": "[J] hi"}]), &Value::Null).unwrap();
    assert_eq!(text.tokenizer().unwrap().token_id("[J]"), Some(4));
    assert_eq!(ids, [1, 4, 4, 1, 2]);
}
