//! Reads a `tokenizer.json`. Those of large BPE vocabularies (33 MB) would take 15 times their size inside the
//! `tokenizers` library, which first makes a tree of everything: the vocabulary and the merges are read here, straight
//! into what the model needs, and the library reads the rest.

use super::limits;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::{AddedToken, Tokenizer};

/// Most values outside of a BPE vocabulary: in the trees of the library each takes up to 230 bytes. A Unigram vocabulary
/// of 250000 pieces has 750000.
const MAX_VALUES: usize = 780_000;

/// The parts, unparsed; those that are not named here matter to nobody.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow)]
    added_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    normalizer: Option<&'a RawValue>,
    #[serde(borrow)]
    pre_tokenizer: Option<&'a RawValue>,
    #[serde(borrow)]
    post_processor: Option<&'a RawValue>,
    #[serde(borrow)]
    decoder: Option<&'a RawValue>,
}

/// What the kind of a model and its size are told by, without keeping anything.
#[derive(Deserialize)]
struct Outline {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    vocab: Count,
    #[serde(default)]
    merges: Count,
}

/// A BPE model but for its merges.
#[derive(Deserialize)]
struct Bpe<'a> {
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
    vocab: Vocab,
    #[serde(borrow)]
    merges: &'a RawValue,
}

/// The tokenizer of a `tokenizer.json`, which is freed before its model is built, and one more than its largest id.
/// Errors: `bad-file`.
pub(super) fn read(json: impl AsRef<[u8]>) -> Result<(Tokenizer, usize)> {
    let text = std::str::from_utf8(json.as_ref()).map_err(bad)?.trim_start_matches('\u{feff}');
    let parts: Parts = serde_json::from_str(text).map_err(bad)?;
    let outline: Outline = serde_json::from_str(parts.model.get()).map_err(bad)?;
    if let Some(processor) = parse::<Value>(parts.post_processor)? {
        super::tokenizer_check::post_processor(&processor).map_err(bad)?;
    }
    if let Some(decoder) = parse::<Value>(parts.decoder)? {
        super::tokenizer_check::decoder(&decoder).map_err(bad)?;
    }
    if outline.kind.as_deref() != Some("BPE") {
        check_values(text)?;
        limits::check(outline.vocab.0, outline.merges.0, text.len())?;
        let tokenizer = Tokenizer::from_bytes(text).map_err(bad)?;
        drop(json);
        let last = tokenizer.get_vocab(true).into_values().max();
        return Ok((tokenizer, last.map_or(0, |id| id as usize + 1)));
    }
    let (n_tokens, n_merges) = (outline.vocab.0, outline.merges.0);
    limits::check(n_tokens, n_merges, text.len())?;
    let mut tokenizer = frame(&parts)?;
    let added: Vec<AddedToken> = parse(parts.added_tokens)?.unwrap_or_default();
    let model: Bpe = serde_json::from_str(parts.model.get()).map_err(bad)?;
    let last = model.vocab.values().copied().max();
    let mut merges = serde_json::Deserializer::from_str(model.merges.get());
    let merges = MergeList(n_merges).deserialize(&mut merges).map_err(bad)?;
    let mut builder = BPE::builder()
        .fuse_unk(model.fuse_unk.unwrap_or(false))
        .byte_fallback(model.byte_fallback.unwrap_or(false))
        .ignore_merges(model.ignore_merges.unwrap_or(false))
        .vocab_and_merges(model.vocab, merges);
    if let Some(dropout) = model.dropout {
        builder = builder.dropout(dropout);
    }
    if let Some(unknown) = model.unk_token {
        builder = builder.unk_token(unknown);
    }
    if let Some(prefix) = model.continuing_subword_prefix {
        builder = builder.continuing_subword_prefix(prefix);
    }
    if let Some(suffix) = model.end_of_word_suffix {
        builder = builder.end_of_word_suffix(suffix);
    }
    // The text and what is built of it are the two largest things here.
    drop(json);
    tokenizer.with_model(builder.build().map_err(bad)?);
    tokenizer.add_tokens(&added);
    let last = added.iter().filter_map(|t| tokenizer.token_to_id(&t.content)).chain(last).max();
    Ok((tokenizer, last.map_or(0, |id| id as usize + 1)))
}

fn bad(e: impl fmt::Display) -> Error {
    let mut why = e.to_string();
    if let Some((end, _)) = why.char_indices().nth(300) {
        why.truncate(end);
    }
    Error::BadFile(format!(
        "tokenizer.json is not one that can be read ({why}); download it again, or convert the model with a current \
         version of transformers"
    ))
}

/// A part, when it is there.
fn parse<T: for<'a> Deserialize<'a>>(part: Option<&RawValue>) -> Result<Option<T>> {
    let Some(part) = part else { return Ok(None) };
    check_values(part.get())?;
    serde_json::from_str(part.get()).map(Some).map_err(bad)
}

/// Everything around the model, with an empty one in its place.
fn frame(parts: &Parts) -> Result<Tokenizer> {
    let mut json = Map::new();
    json.insert("version".into(), "1.0".into());
    json.insert("model".into(), serde_json::json!({"type": "BPE", "vocab": {}, "merges": []}));
    json.insert("added_tokens".into(), Value::Array(Vec::new()));
    for (name, part) in [
        ("normalizer", parts.normalizer),
        ("pre_tokenizer", parts.pre_tokenizer),
        ("post_processor", parts.post_processor),
        ("decoder", parts.decoder),
    ] {
        json.insert(name.into(), parse(part)?.unwrap_or(Value::Null));
    }
    serde_json::from_value(Value::Object(json)).map_err(bad)
}

/// `bad-file` when JSON text holds more than `MAX_VALUES` values. Commas and brackets in strings count, too: texts that
/// hold many have to be vocabularies.
fn check_values(text: &str) -> Result<()> {
    let n = text.bytes().filter(|b| matches!(b, b'[' | b'{' | b',')).count();
    if n > MAX_VALUES {
        return Err(bad(format!("some {n} values; at most {MAX_VALUES} are supported")));
    }
    Ok(())
}

/// The number of elements or members.
#[derive(Default)]
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        struct Counter;
        impl<'de> Visitor<'de> for Counter {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list or an object")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                let mut n = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    n += 1;
                }
                Ok(Count(n))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                let mut n = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    n += 1;
                }
                Ok(Count(n))
            }
        }
        deserializer.deserialize_any(Counter)
    }
}

/// Merges, of which the number is known: a vector that grows would take twice the memory.
struct MergeList(usize);

impl<'de> DeserializeSeed<'de> for MergeList {
    type Value = Merges;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Merges, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for MergeList {
    type Value = Merges;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of merges")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merges, A::Error> {
        let mut merges = Merges::with_capacity(self.0);
        while let Some(merge) = list.next_element::<Merge>()? {
            merges.extend(merge.0);
        }
        Ok(merges)
    }
}

/// `["a", "b"]`, or `"a b"` as older files have it; None for the line with a version that such files begin with.
struct Merge(Option<(String, String)>);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Merge, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a merge of two tokens")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Merge, E> {
                if text.starts_with("#version") {
                    return Ok(Merge(None));
                }
                let pair = text.split_once(' ').filter(|(_, right)| !right.contains(' '));
                let (left, right) = pair.ok_or_else(|| E::custom("a merge is not two tokens with a space between"))?;
                Ok(Merge(Some((left.to_string(), right.to_string()))))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
                let pair = (list.next_element()?, list.next_element()?);
                match (pair, list.next_element::<IgnoredAny>()?) {
                    ((Some(left), Some(right)), None) => Ok(Merge(Some((left, right)))),
                    _ => Err(A::Error::custom("a merge is not two tokens")),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}
