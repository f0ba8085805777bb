//! Tokenizers from GGUF metadata (`tokenizer.*`), with llama.cpp's meaning of every key.

use super::gguf_decode::{Decoder, Spelled};
use super::gguf_model::{Algorithm, GgufModel};
use super::gguf_table::{Table, no_numbers, per_token, take};
use super::limits;
use super::pretokenizer::{self, Pre, Spelling};
use super::spm::Spm;
use super::tokenizer::{GgufPipeline, Inner, Pipeline, Specials, Tokenizer, TokenizerConfig};
use crate::error::{Error, Result};
use crate::formats::gguf::{Metadata, Value as Meta};
use serde_json::{Value, json};
use std::rc::Rc;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

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

/// Whether spaces are taken away when ids become text, and how tokens are spelled.
fn finish(
    table: Table,
    pipeline: Pipeline,
    (spelled, strip): (Spelled, bool),
    (bos, eos): (Option<u32>, Option<u32>),
    before: Option<u32>,
    after: Option<u32>,
) -> Tokenizer {
    let Table { n_tokens, roles, mut ends, .. } = table;
    if let Some(eos) = eos {
        ends.retain(|&id| id != eos);
        ends.insert(0, eos);
    }
    Tokenizer {
        inner: Rc::new(Inner {
            pipeline,
            gguf: Some(Decoder { roles, spelled, strip }),
            specials: Specials::Around(before, after),
            always_bos: before,
            vocab_size: n_tokens,
            bos,
            eos: ends,
            named: Vec::new(),
        }),
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
    table.find_bytes();
    // Phi-3's special tokens swallow the white space after them; the file has no key for that.
    let name = meta.str("general.name").unwrap_or_default().to_lowercase();
    let phi3 = ["phi-3", "phi3"].iter().any(|n| name.contains(n));
    let added = table.added(|t| phi3 && !["<unk>", "<s>", "<|endoftext|>"].contains(&t));
    let tokens = table.take_tokens();
    let spm = Spm::new(&tokens, scores);
    let model = GgufModel::new(tokens, unknown, Algorithm::Spm(spm));
    let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    if prefix {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
    }
    let mut pipeline = GgufPipeline::new(model);
    pipeline.with_normalizer(Some(part::<NormalizerWrapper>(json!({"type": "Sequence", "normalizers": normalizers}))?));
    pipeline.add_tokens(&added);
    let bos = table.id("bos").or(table.checked(1));
    let eos = table.id("eos").or(table.checked(2));
    let add = |key: &str, default: bool| meta.bool(key).unwrap_or(default);
    let before = bos.filter(|_| add("tokenizer.ggml.add_bos_token", true));
    let after = eos.filter(|_| add("tokenizer.ggml.add_eos_token", false));
    Ok(finish(table, Pipeline::Gguf(Box::new(pipeline)), (Spelled::Spaces, prefix), (bos, eos), before, after))
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
    let vocab: Vocab = table.take_tokens().into_iter().enumerate().map(|(id, token)| (token, id as u32)).collect();
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
    if pre.spelling != Spelling::ByteLevel {
        table.find_bytes();
    }
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
        Spelling::ByteLevel => steps.push(byte_level),
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
    let spelled = if bytes { Spelled::Bytes } else { Spelled::Spaces };
    Ok(finish(table, Pipeline::Library(Box::new(library)), (spelled, false), (bos, eos), before, after))
}

/// WordPiece; the file marks the beginnings of words (U+2581) instead of their continuations (`##`). Like llama.cpp it
/// adds its two tokens around a text whatever the file says, and cuts words by the character.
fn word_piece(meta: &mut Metadata) -> Result<Tokenizer> {
    let mut table = Table::read(meta)?;
    let id = |name: &str, default: u32| table.id(name).or(table.checked(default));
    let (bos, separator) = (id("bos", 101), id("seperator", 102));
    let unknown = id("unknown", 100).ok_or_else(|| bad("it has no token for words that are not in it"))?;
    let added = table.added(|_| false);
    let lowercase = meta.bool("tokenizer.ggml.normalizer.lowercase").unwrap_or(true);
    let strip_accents = meta.bool("tokenizer.ggml.normalizer.strip_accents").unwrap_or(lowercase);

    let replace =
        |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": content});
    let mut normalizers = Vec::new();
    if strip_accents {
        // Of a syllable of Hangul only the first letter stays.
        const FIRST: u32 = 0xAC00;
        const PER_LETTER: u32 = 588;
        for letter in 0..19 {
            let first = FIRST + letter * PER_LETTER;
            let pattern = format!(r"[\x{{{first:X}}}-\x{{{:X}}}]", first + PER_LETTER - 1);
            let letter = char::from_u32(0x1100 + letter).map(String::from).unwrap_or_default();
            normalizers.push(replace(&pattern, &letter));
        }
        normalizers.extend([json!({"type": "NFD"}), replace(r"\p{M}", "")]);
    }
    normalizers.push(replace(r"(?!\s)[\p{Cc}\p{Cf}\p{Co}\x{FFFD}]", ""));
    if lowercase {
        // The one letter of which the library makes two.
        normalizers.extend([replace("\u{130}", "i"), json!({"type": "Lowercase"})]);
    }
    const IDEOGRAPHS: &str = r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B81F}\x{2B920}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}";
    let split = |pattern: &str, behavior: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": false});
    let alone = format!(r"[\p{{P}}$+<=>^`|~{IDEOGRAPHS}]");
    let steps = [split(r"\s+", "Removed"), split(&alone, "Isolated")];

    let model = GgufModel::new(table.take_tokens(), Some(unknown), Algorithm::WordPiece);
    let mut pipeline = GgufPipeline::new(model);
    pipeline.with_normalizer(Some(part::<NormalizerWrapper>(json!({"type": "Sequence", "normalizers": normalizers}))?));
    pipeline
        .with_pre_tokenizer(Some(part::<PreTokenizerWrapper>(json!({"type": "Sequence", "pretokenizers": steps}))?));
    pipeline.add_tokens(&added);
    let eos = table.id("eos").or(separator);
    Ok(finish(table, Pipeline::Gguf(Box::new(pipeline)), (Spelled::Words, false), (bos, eos), bos, separator))
}
