//! Tokenizers from GGUF metadata (`tokenizer.*`), with llama.cpp's meaning of every key.

use super::limits;
use super::pretokenizer::{self, Pre, Spelling};
use super::spm::Spm;
use super::tokenizer::{Inner, Pipeline, Specials, SpmPipeline, Tokenizer, TokenizerConfig};
use crate::error::{Error, Result};
use crate::formats::gguf::{Metadata, Value as Meta};
use serde_json::{Value, json};
use std::rc::Rc;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper};

/// `tokenizer.ggml.token_type`.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const BYTE: i64 = 6;

/// The vocabulary as it lies in the file.
struct Table {
    /// Until the model takes them over.
    tokens: Vec<String>,
    n_tokens: usize,
    types: Vec<i64>,
    special_ids: Vec<(&'static str, Option<u32>)>,
    /// Tokens that end a reply.
    ends: Vec<u32>,
}

impl Table {
    fn read(meta: &mut Metadata) -> Result<Table> {
        let ends = meta.end_ids();
        let mut tokens = take(meta, "tokenizer.ggml.tokens").filter(|t| !t.is_empty()).ok_or_else(|| {
            Error::BadFile("the GGUF file has no tokenizer.ggml.tokens: expected the vocabulary as an array of strings; convert the model again".into())
        })?;
        limits::check(tokens.len(), 0, tokens.iter().map(String::len).sum())?;
        let types = match meta.get("tokenizer.ggml.token_type") {
            None => vec![1; tokens.len()],
            Some(Meta::Ints(types)) => per_token("token_type", types, tokens.len(), |t| t)?,
            Some(_) => return Err(no_numbers("token_type")),
        };
        // Empty and repeated spellings cannot be told apart in text; give them names that no text contains.
        let mut seen = std::collections::HashSet::with_capacity(tokens.len());
        let mut unusable = Vec::new();
        for (id, token) in tokens.iter().enumerate() {
            if token.is_empty() || !seen.insert(token.as_str()) {
                unusable.push(id);
            }
        }
        drop(seen);
        // An empty one prints as in llama.cpp.
        unusable.into_iter().for_each(|id| {
            let why = if tokens[id].is_empty() { "EMPTY" } else { "UNUSED" };
            tokens[id] = format!("[{why}_{id}]");
        });
        let special_ids = ["bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "cls"]
            .map(|name| {
                let id = meta.u32(&format!("tokenizer.ggml.{name}_token_id"));
                (name, id.filter(|&id| (id as usize) < tokens.len()))
            })
            .to_vec();
        Ok(Table { n_tokens: tokens.len(), tokens, types, special_ids, ends })
    }

    fn id(&self, name: &str) -> Option<u32> {
        self.special_ids.iter().find(|(n, _)| *n == name).and_then(|(_, id)| *id)
    }

    /// The id if there is such a token.
    fn checked(&self, id: u32) -> Option<u32> {
        ((id as usize) < self.n_tokens).then_some(id)
    }

    /// The tokens, for the model; what is asked of the table afterwards does not need them.
    fn take_tokens(&mut self) -> impl Iterator<Item = String> + use<> {
        std::mem::take(&mut self.tokens).into_iter()
    }

    /// Tokens that are found in a text before anything else happens to it.
    fn added(&self, rstrip: impl Fn(&str) -> bool) -> Vec<AddedToken> {
        (0..self.tokens.len())
            .filter_map(|i| {
                let special = matches!(self.types[i], CONTROL | UNKNOWN) || self.ends.contains(&(i as u32));
                let token = &self.tokens[i];
                (special || self.types[i] == USER_DEFINED)
                    .then(|| AddedToken::from(token.clone(), special).normalized(false).rstrip(rstrip(token)))
            })
            .collect()
    }
}

/// Takes a list of texts out of the metadata.
fn take(meta: &mut Metadata, key: &str) -> Option<Vec<String>> {
    let (_, value) = meta.entries.iter_mut().find(|(k, _)| k == key)?;
    match value {
        Meta::Strings(list) => Some(std::mem::take(list)),
        _ => None,
    }
}

/// The entries of a list that belong to the `n` tokens; what comes after them belongs to none.
fn per_token<T: Copy, U>(key: &str, list: &[T], n: usize, convert: impl Fn(T) -> U) -> Result<Vec<U>> {
    let Some(list) = list.get(..n) else {
        return Err(Error::BadFile(format!(
            "tokenizer.ggml.{key} has {} entries, expected one per token ({n}); convert the model again",
            list.len()
        )));
    };
    Ok(list.iter().map(|t| convert(*t)).collect())
}

fn no_numbers(key: &str) -> Error {
    Error::BadFile(format!(
        "tokenizer.ggml.{key} is not a list of numbers, expected one per token; convert the model again"
    ))
}

/// Parts of a pipeline are written as they stand in a tokenizer.json.
fn part<T: serde::de::DeserializeOwned>(json: Value) -> Result<T> {
    serde_json::from_value(json).map_err(|e| Error::UnsupportedFormat(format!("the tokenizer cannot be built: {e}")))
}

fn bad(e: impl std::fmt::Display) -> Error {
    Error::BadFile(format!("the vocabulary in the GGUF file cannot be used: {e}"))
}

/// See [`Tokenizer::from_gguf`].
pub(super) fn build(mut meta: Metadata) -> Result<Tokenizer> {
    // Lists that nobody reads are freed before the vocabulary is built.
    const LISTS: [&str; 4] = ["tokens", "token_type", "scores", "merges"];
    let wanted = |key: &str| key.strip_prefix("tokenizer.ggml.").is_some_and(|k| LISTS.contains(&k));
    meta.entries.retain(|(key, value)| match value {
        Meta::Ints(_) | Meta::Floats(_) | Meta::Bools(_) | Meta::Strings(_) | Meta::Skipped(_) => wanted(key),
        Meta::String(text) => text.len() < 1024 || key == "tokenizer.huggingface.json",
        Meta::Int(_) | Meta::Float(_) | Meta::Bool(_) => true,
    });
    if meta.str("tokenizer.huggingface.json").is_some() {
        return from_huggingface(meta);
    }
    let model = meta.str("tokenizer.ggml.model").ok_or_else(|| {
        Error::BadFile(
            "the GGUF file has no tokenizer.ggml.model: expected the kind of its vocabulary; convert the model again"
                .into(),
        )
    })?;
    match model {
        "llama" => spm(&mut meta),
        "gpt2" | "whitespace" | "gemma4" => bpe(&mut meta),
        "bert" => word_piece(&mut meta),
        other => Err(Error::UnsupportedFormat(format!(
            "the vocabulary of this GGUF file is of kind \"{other}\"; supported are llama, gpt2, gemma4, whitespace and bert. Use the model's Hugging Face directory with a tokenizer.json instead"
        ))),
    }
}

fn finish(
    table: &Table,
    pipeline: Pipeline,
    (bos, eos): (Option<u32>, Option<u32>),
    before: Option<u32>,
    after: Option<u32>,
) -> Tokenizer {
    let mut ends = table.ends.clone();
    if let Some(eos) = eos {
        ends.retain(|&id| id != eos);
        ends.insert(0, eos);
    }
    let specials = Specials::Around(before, after);
    Tokenizer {
        inner: Rc::new(Inner { pipeline, specials, always_bos: before, vocab_size: table.n_tokens, bos, eos: ends }),
    }
}

fn from_huggingface(mut meta: Metadata) -> Result<Tokenizer> {
    let ends = meta.end_ids();
    let entry = meta.entries.iter().position(|(key, _)| key == "tokenizer.huggingface.json");
    let Some((_, Meta::String(json))) = entry.map(|at| meta.entries.swap_remove(at)) else {
        return Err(bad("tokenizer.huggingface.json is not a text"));
    };
    let tokenizer = Tokenizer::from_json(json, TokenizerConfig::default())?;
    let id = |name: &str| meta.u32(&format!("tokenizer.ggml.{name}_token_id"));
    let mut inner = Rc::into_inner(tokenizer.inner).expect("no clone was made");
    inner.bos = id("bos");
    inner.eos = ends;
    Ok(Tokenizer { inner: Rc::new(inner) })
}

/// What turns pieces with U+2581 and byte pieces into text.
fn spm_decoder(strip: bool) -> Result<DecoderWrapper> {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if strip {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    part(json!({"type": "Sequence", "decoders": decoders}))
}

fn spm(meta: &mut Metadata) -> Result<Tokenizer> {
    let mut table = Table::read(meta)?;
    let scores = match meta.get("tokenizer.ggml.scores") {
        // As in llama.cpp: all pairs are alike, so that the leftmost is merged first.
        None => vec![0.0; table.n_tokens],
        Some(Meta::Floats(scores)) => per_token("scores", scores, table.n_tokens, |s| s)?,
        Some(Meta::Ints(scores)) => per_token("scores", scores, table.n_tokens, |s| s as f32)?,
        Some(_) => return Err(no_numbers("scores")),
    };
    let prefix = meta.bool("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let unknown = table.id("unknown").or(table.checked(0));
    // Some converters mark no token as a byte.
    let typed = table.types.contains(&BYTE);
    // Phi-3's special tokens swallow the white space after them; the file has no key for that.
    let name = meta.str("general.name").unwrap_or_default().to_lowercase();
    let phi3 = ["phi-3", "phi3"].iter().any(|n| name.contains(n));
    let rstrip = |t: &str| phi3 && (t == "</s>" || t.starts_with("<|") && t != "<|endoftext|>");
    let added = table.added(rstrip);
    let model = Spm::new(table.take_tokens().collect(), scores, |id| !typed || table.types[id] == BYTE, unknown);
    let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    if prefix {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
    }
    let mut pipeline = SpmPipeline::new(model);
    pipeline.with_normalizer(Some(part::<NormalizerWrapper>(json!({"type": "Sequence", "normalizers": normalizers}))?));
    pipeline.with_decoder(Some(spm_decoder(prefix)?));
    pipeline.add_tokens(&added);
    let bos = table.id("bos").or(table.checked(1));
    let eos = table.id("eos").or(table.checked(2));
    let add = |key: &str, default: bool| meta.bool(key).unwrap_or(default);
    let before = bos.filter(|_| add("tokenizer.ggml.add_bos_token", true));
    let after = eos.filter(|_| add("tokenizer.ggml.add_eos_token", false));
    Ok(finish(&table, Pipeline::Spm(Box::new(pipeline)), (bos, eos), before, after))
}

/// Vocabulary and merges; merges that the vocabulary cannot carry out are left out, as llama.cpp never applies them.
fn vocab_and_merges(meta: &mut Metadata, table: &mut Table) -> Result<(Vocab, Merges)> {
    // Files of Kimi K2 may come without.
    let merges = match take(meta, "tokenizer.ggml.merges") {
        None if meta.str("tokenizer.ggml.pre") == Some("kimi-k2") => Vec::new(),
        merges => merges.ok_or_else(|| {
            Error::BadFile("the GGUF file has a BPE vocabulary without tokenizer.ggml.merges: expected an array of \"left right\"; convert the model again".into())
        })?,
    };
    limits::check(table.n_tokens, merges.len(), merges.iter().map(String::len).sum())?;
    let vocab: Vocab = table.take_tokens().enumerate().map(|(id, token)| (token, id as u32)).collect();
    let split = |merge: String| {
        let at = merge.char_indices().skip(1).find(|(_, c)| *c == ' ')?.0;
        let (left, right) = (&merge[..at], &merge[at + 1..]);
        let known = [left, right, &format!("{left}{right}")].iter().all(|t| vocab.contains_key(*t));
        known.then(|| (left.to_string(), right.to_string()))
    };
    let merges = merges.into_iter().filter_map(split).collect();
    Ok((vocab, merges))
}

/// The entry for `tokenizer.ggml.pre`. Errors: `unsupported-format` for a name that is not known, as texts would be cut
/// otherwise than the model has learnt.
fn pre_of(meta: &Metadata) -> Result<(String, Pre)> {
    let name = match meta.str("tokenizer.ggml.model") {
        Some("gemma4") => "gemma4",
        Some("whitespace") => "whitespace",
        _ => meta.str("tokenizer.ggml.pre").unwrap_or_default(),
    };
    let name = if name.is_empty() {
        tracing::warn!(
            "the GGUF file has no tokenizer.ggml.pre: texts are cut by the patterns \"default\", which may give other tokens than the model was trained with; convert the model again"
        );
        "default"
    } else {
        name
    };
    let pre = pretokenizer::find(name).ok_or_else(|| {
        Error::UnsupportedFormat(format!(
            "tokenizer.ggml.pre \"{name}\" is not known: texts would become other tokens than the model was trained with. Use the model's Hugging Face directory with a tokenizer.json, or a newer version of this library"
        ))
    })?;
    Ok((name.to_string(), pre))
}

fn bpe(meta: &mut Metadata) -> Result<Tokenizer> {
    let (name, pre) = pre_of(meta)?;
    let mut table = Table::read(meta)?;
    let added = table.added(|_| false);
    let (vocab, merges) = vocab_and_merges(meta, &mut table)?;
    let bytes = pre.spelling == Spelling::ByteLevel;
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(pre.ignore_merges)
        .byte_fallback(!bytes)
        .build()
        .map_err(bad)?;
    let split = |pattern: String, behavior: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": false});
    let mut steps: Vec<Value> = pre.patterns().map(|pattern| split(pattern, "Isolated")).collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let mut normalizers: Vec<Value> = Vec::new();
    if meta.bool("tokenizer.ggml.normalizer.nfc").unwrap_or(false) {
        normalizers.push(json!({"type": "NFC"}));
    }
    match pre.spelling {
        Spelling::ByteLevel => steps.push(byte_level.clone()),
        Spelling::Raw => normalizers.push(spaces),
        Spelling::RawWords => {
            normalizers.push(spaces);
            let begin = r"(?<![^\n])(?=[^\n▁])";
            normalizers.push(json!({"type": "Replace", "pattern": {"Regex": begin}, "content": "▁"}));
        }
        Spelling::NoSpaces => {
            if meta.bool("tokenizer.ggml.normalizer.lowercase").unwrap_or(false) {
                normalizers.push(json!({"type": "Lowercase"}));
            }
            steps.push(split(r"\s+".into(), "Removed"));
        }
    }
    let mut library = tokenizers::Tokenizer::new(model);
    if !normalizers.is_empty() {
        let sequence = json!({"type": "Sequence", "normalizers": normalizers});
        library.with_normalizer(Some(part::<NormalizerWrapper>(sequence)?));
    }
    library.with_pre_tokenizer(Some(part::<PreTokenizerWrapper>(json!({"type": "Sequence", "pretokenizers": steps}))?));
    library.with_decoder(Some(if bytes { part::<DecoderWrapper>(byte_level)? } else { spm_decoder(false)? }));
    library.add_tokens(&added);
    // Ids that are meant when the file does not say; the kind gemma4 has none.
    let default = |id: Option<u32>| id.filter(|_| meta.str("tokenizer.ggml.model") != Some("gemma4"));
    let bos = table.id("bos").or(default(pre.default_bos).and_then(|id| table.checked(id)));
    let eos = table.id("eos").or(default(Some(11)).and_then(|id| table.checked(id)));
    let add = |key: &str, default: bool| meta.bool(key).unwrap_or(default);
    // Files of Gemma 4 say add_bos_token = false although the model needs it.
    let always = matches!(name.as_str(), "gemma4" | "granite-embed-multi-311m");
    let before = bos.filter(|_| always || add("tokenizer.ggml.add_bos_token", pre.add_bos));
    let after = eos.filter(|_| add("tokenizer.ggml.add_eos_token", false));
    Ok(finish(&table, Pipeline::Library(Box::new(library)), (bos, eos), before, after))
}

/// WordPiece; the file marks the beginnings of words (U+2581) instead of their continuations (`##`).
fn word_piece(meta: &mut Metadata) -> Result<Tokenizer> {
    let mut table = Table::read(meta)?;
    for (token, kind) in table.tokens.iter_mut().zip(&table.types) {
        let bracketed = token.starts_with('[') && token.ends_with(']');
        *token = match token.strip_prefix('▁') {
            Some(word) => word.to_string(),
            None if bracketed || matches!(*kind, CONTROL | UNKNOWN) => continue,
            None => format!("##{token}"),
        };
    }
    let id = |name: &str, default: u32| table.id(name).or(table.checked(default));
    let unknown = id("unknown", 100).map_or("[UNK]".to_string(), |id| table.tokens[id as usize].clone());
    let vocab: Vocab = table.tokens.iter().enumerate().map(|(id, t)| (t.clone(), id as u32)).collect();
    if !vocab.contains_key(&unknown) {
        return Err(bad(format!("it has no token {unknown}, which stands for words that are not in it")));
    }
    let model = WordPiece::builder().vocab(vocab).unk_token(unknown).build().map_err(bad)?;
    let lowercase = meta.bool("tokenizer.ggml.normalizer.lowercase").unwrap_or(true);
    let strip_accents = meta.bool("tokenizer.ggml.normalizer.strip_accents").unwrap_or(lowercase);
    let mut library = tokenizers::Tokenizer::new(model);
    library.with_normalizer(Some(part::<NormalizerWrapper>(json!({
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": strip_accents, "lowercase": lowercase
    }))?));
    library.with_pre_tokenizer(Some(part::<PreTokenizerWrapper>(json!({"type": "BertPreTokenizer"}))?));
    library.with_decoder(Some(part::<DecoderWrapper>(json!({"type": "WordPiece", "prefix": "##", "cleanup": true}))?));
    let added: Vec<AddedToken> = table.added(|_| false).into_iter().filter(|t| t.special).collect();
    library.add_tokens(&added);
    let bos = table.id("bos").or(id("cls", 101));
    let separator = id("seperator", 102);
    let add = |key: &str| meta.bool(key).unwrap_or(true);
    let before = bos.filter(|_| add("tokenizer.ggml.add_bos_token"));
    let after = separator.filter(|_| add("tokenizer.ggml.add_sep_token"));
    Ok(finish(&table, Pipeline::Library(Box::new(library)), (bos, table.id("eos").or(separator)), before, after))
}
