//! Bytes that form no character, or not yet: each broken byte of SentencePiece becomes one U+FFFD and takes nothing with
//! it, those of byte-level BPE become what they become elsewhere, and a stream adds up to what `decode` gives.

use super::fuzz::Random;
use lacewing::formats::gguf::{Metadata, Value as Meta};
use lacewing::text::{Detokenizer, Tokenizer, TokenizerConfig};
use serde_json::{Value, json};

/// Ids 0 to 255 are the bytes; then a special token and a piece with a space.
const SPECIAL: u32 = 256;
const WORD: u32 = 257;

fn pieces(byte: impl Fn(u8) -> String, word: &str) -> Vec<String> {
    (0..=255).map(byte).chain(["<s>", word].map(String::from)).collect()
}

fn fallback_pieces() -> Vec<String> {
    pieces(|byte| format!("<0x{byte:02X}>"), "▁a")
}

/// GPT-2's letter of a byte.
fn letter(byte: u8) -> String {
    let prints = |b: &u8| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let hidden = (0..byte).filter(|b| !prints(b)).count() as u32;
    String::from(if prints(&byte) { char::from(byte) } else { char::from_u32(256 + hidden).unwrap() })
}

fn from_json(pieces: Vec<String>, byte_fallback: bool, decoder: Value) -> Tokenizer {
    let special = json!([{"id": SPECIAL, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}]);
    let vocab: serde_json::Map<String, Value> = pieces.into_iter().zip((0..).map(Value::from)).collect();
    let model = json!({"type": "BPE", "byte_fallback": byte_fallback, "merges": [], "vocab": vocab});
    let file = json!({"version": "1.0", "added_tokens": special, "model": model, "decoder": decoder});
    Tokenizer::from_json(file.to_string(), TokenizerConfig::default()).unwrap()
}

fn from_gguf(model: &str, pieces: Vec<String>, prefix: bool) -> Tokenizer {
    let byte = if model == "llama" { 6 } else { 1 };
    let types = (0..258).map(|id| {
        if id == SPECIAL {
            3
        } else if id == WORD {
            1
        } else {
            byte
        }
    });
    let entries = [
        ("model", Meta::String(model.into())),
        ("pre", Meta::String("gpt-2".into())),
        ("scores", Meta::Floats(vec![0.0; pieces.len()])),
        ("token_type", Meta::Ints(types.collect())),
        ("tokens", Meta::Strings(pieces)),
        ("merges", Meta::Strings(Vec::new())),
        ("add_space_prefix", Meta::Bool(prefix)),
    ];
    let entries = entries.into_iter().map(|(k, v)| (format!("tokenizer.ggml.{k}"), v)).collect();
    Tokenizer::from_gguf(Metadata { entries }).unwrap()
}

/// SentencePiece from either file, without and with a space before the text.
fn sentencepiece(prefix: bool) -> [Tokenizer; 2] {
    let mut decoders = json!([{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]);
    if prefix {
        decoders.as_array_mut().unwrap().push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let decoder = json!({"type": "Sequence", "decoders": decoders});
    [from_json(fallback_pieces(), true, decoder), from_gguf("llama", fallback_pieces(), prefix)]
}

fn byte_level() -> [Tokenizer; 2] {
    let pieces = || pieces(letter, "Ġa");
    let decoder = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    [from_json(pieces(), false, decoder), from_gguf("gpt2", pieces(), false)]
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = Detokenizer::new(tokenizer);
    let mut text: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    text += &stream.finish().unwrap();
    text
}

fn bytes_of(ids: &[u32]) -> Vec<u8> {
    let bytes = ids.iter().map(|&id| match id {
        SPECIAL => vec![],
        WORD => b" a".to_vec(),
        byte => vec![byte as u8],
    });
    bytes.collect::<Vec<_>>().concat()
}

/// One U+FFFD for each byte that is no part of a character.
fn each_replaced(bytes: &[u8]) -> String {
    let chunks = bytes.utf8_chunks();
    chunks.map(|chunk| chunk.valid().to_string() + &"\u{FFFD}".repeat(chunk.invalid().len())).collect()
}

#[test]
fn only_broken_bytes_of_sentencepiece_are_replaced() {
    for (ids, expected) in [
        (&[0xe4, 0x61][..], "\u{FFFD}a"),
        (&[0x61, 0xe4], "a\u{FFFD}"),
        (&[0x61, 0x80, 0x62, 0xc3, 0xa4, 0xff, 0xc3], "a\u{FFFD}bä\u{FFFD}\u{FFFD}"),
        (&[0xf0, 0x9f, 0x98, 0x61], "\u{FFFD}\u{FFFD}\u{FFFD}a"),
        (&[0xf0, 0x9f, 0x98, 0x80, 0xf0, 0x9f, 0x98, WORD], "😀\u{FFFD}\u{FFFD}\u{FFFD} a"),
        (&[0xe2, 0x96, 0x81, 0xe2, WORD, 0x96], "▁\u{FFFD} a\u{FFFD}"),
        (&[0x80; 12], &"\u{FFFD}".repeat(12)),
    ] {
        for tokenizer in sentencepiece(false) {
            assert_eq!(tokenizer.decode(ids, true).unwrap(), expected, "{ids:x?}");
            assert_eq!(streamed(&tokenizer, ids), expected, "{ids:x?} as a stream");
        }
    }
}

/// Every row of four out of what begins, goes on with, ends and breaks characters, and long rows of them at random.
#[test]
fn streams_add_up_wherever_characters_break() {
    const OUT_OF: [u32; 11] = [0x61, 0x20, 0xC3, 0xA4, 0xE2, 0x82, 0xF0, 0x9F, 0xFF, SPECIAL, WORD];
    let n = OUT_OF.len();
    let mut rows: Vec<Vec<u32>> =
        (0..n.pow(4)).map(|i| (0..4).map(|place| OUT_OF[i / n.pow(place) % n]).collect()).collect();
    let mut random = Random(3);
    rows.extend((0..1000).map(|_| (0..1 + random.below(30)).map(|_| OUT_OF[random.below(n)]).collect::<Vec<u32>>()));
    let strip = |text: String| text.strip_prefix(' ').map(String::from).unwrap_or(text);
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    type Expected<'a> = &'a dyn Fn(&[u8]) -> String;
    let kinds: [(&str, [Tokenizer; 2], Expected); 3] = [
        ("SentencePiece", sentencepiece(false), &each_replaced),
        ("SentencePiece with a space before", sentencepiece(true), &|bytes| strip(each_replaced(bytes))),
        ("byte-level", byte_level(), &lossy),
    ];
    for (kind, tokenizers, expected) in kinds {
        for (tokenizer, file) in tokenizers.iter().zip(["tokenizer.json", "GGUF"]) {
            for ids in &rows {
                let expected = expected(&bytes_of(ids));
                assert_eq!(tokenizer.decode(ids, true).unwrap(), expected, "{kind} of {file}: {ids:x?}");
                assert_eq!(streamed(tokenizer, ids), expected, "{kind} of {file} as a stream: {ids:x?}");
            }
        }
    }
}
