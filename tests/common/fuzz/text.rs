//! Tokenizers and chat templates.

use super::Target;
use lacewing::text::chat::{ChatTemplate, RenderOptions};
use lacewing::text::stream::Detokenizer;
use lacewing::text::tokenizer::{Tokenizer, TokenizerConfig};
use serde_json::{Value, json};

pub const TOKENIZER: Target =
    Target { name: "tokenizer_json", seeds: tokenizer_seeds, read: read_tokenizer, constant: 4 << 20 };
/// What a template may build goes by the conversation, not by the template: `text::chat` allows 4 MiB and some.
pub const TEMPLATE: Target =
    Target { name: "chat_template", seeds: template_seeds, read: read_template, constant: 8 << 20 };

/// Text goes in and comes out, whatever the vocabulary is; a stream gives what all ids together give.
pub fn check_tokenizer(tokenizer: &Tokenizer) {
    for text in ["ab ab  a\n<s>\u{e9}\u{1F600} 12345", ""] {
        let Ok(ids) = tokenizer.encode(text, true) else { continue };
        let whole = tokenizer.decode(&ids, true);
        let mut stream = Detokenizer::new(tokenizer);
        let pieces: lacewing::Result<Vec<String>> = ids.iter().map(|id| stream.push(*id)).collect();
        let (Ok(whole), Ok(pieces), Ok(rest)) = (whole, pieces, stream.finish()) else { continue };
        assert_eq!(pieces.concat() + &rest, whole, "{ids:?}");
    }
    tokenizer.eos_ids();
    tokenizer.bos_text();
}

/// The file alone, and as each of the small files beside a good one.
fn read_tokenizer(input: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_json(input, TokenizerConfig::default()) {
        check_tokenizer(&tokenizer);
    }
    let Ok(config) = serde_json::from_slice::<Value>(input) else { return };
    let config = Some(&config);
    let files = TokenizerConfig { config, special_tokens_map: config, added_tokens: config };
    if let Ok(tokenizer) = Tokenizer::from_json(bpe(), files) {
        check_tokenizer(&tokenizer);
    }
}

fn bpe() -> Vec<u8> {
    let added = |id: u32, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(0, "<s>"), added(1, "</s>")],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "\u{120}": 4, "ab": 5, "\u{120}ab": 6},
            "merges": [["a", "b"], ["\u{120}", "ab"]]},
    })
    .to_string()
    .into_bytes()
}

fn tokenizer_seeds() -> Vec<Vec<u8>> {
    let unigram = json!({
        "added_tokens": [], "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u{2581}"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"}]},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false,
            "vocab": [["<unk>", 0.0], ["\u{2581}", -1.0], ["a", -2.0], ["b", -2.5], ["\u{2581}ab", -3.0]]},
    });
    let word_piece = json!({
        "added_tokens": [], "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "a": 1, "##b": 2, "ab": 3}},
    });
    let config = json!({
        "tokenizer_class": "LlamaTokenizerFast", "bos_token": {"content": "<s>"}, "eos_token": "<|end|>",
        "add_bos_token": true, "additional_special_tokens": ["<|x|>"],
        "added_tokens_decoder": {"9": {"content": "<|end|>", "lstrip": true, "rstrip": false, "normalized": false, "special": true}},
    });
    vec![bpe(), unigram.to_string().into(), word_piece.to_string().into(), config.to_string().into()]
}

fn read_template(input: &[u8]) {
    let source = String::from_utf8_lossy(input);
    let Ok(template) = ChatTemplate::new(&source, Some("<s>"), Some("</s>")) else { return };
    let tools = json!([{"type": "function", "function": {"name": "f", "description": "d",
        "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}}]);
    let messages = json!([
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "text", "text": "U\n"}]},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "f", "arguments": {"x": 1.5}}}]},
        {"role": "tool", "content": "R", "tool_call_id": "1"},
        {"role": "user", "content": "V"},
    ]);
    let options = RenderOptions { add_generation_prompt: true, now: Some(1_700_000_000), ..RenderOptions::default() };
    let _ = template.render(&messages, &tools, &options);
    let _ = template.render(&json!([{"role": "user", "content": "U"}]), &Value::Null, &options);
}

fn template_seeds() -> Vec<Vec<u8>> {
    [
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m.content | trim }}{{ eos_token }}{% endfor %}",
        "{%- set ns = namespace(text='', n=0) %}{%- for m in messages if m.role != 'system' %}{%- set ns.text = ns.text ~ loop.index0 %}{%- set ns.n = ns.n + 1 %}{%- endfor %}{{ ns.text * 2 }}",
        "{% macro f(x, y=1) %}{{ x | tojson(indent=2) }}{{ varargs }}{{ caller() if caller }}{% endmacro %}{{ f(tools, 2, 3) }}{% call f(1) %}c{% endcall %}",
        "{% if tools is defined and tools is iterable and tools | length > 0 %}{{ tools[0].function.name.split('_')[-1].title() }}{% else %}{{ raise_exception('no') }}{% endif %}{{ messages[1:][::-1] | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}",
        "{{ strftime_now('%d %b %Y') }}{{ '%s %05.2f' % ('a', 1.5) }}{{ [1, 2] | join(', ') }}{{ dict(a=1).items() | list }}{{ 'a,b' | replace(',', ';') | upper }}{# c #}{% raw %}{{ x }}{% endraw %}",
    ]
    .iter()
    .map(|s| s.as_bytes().to_vec())
    .collect()
}
