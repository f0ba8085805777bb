//! Opens a model: decides what it is, reads its small files and the headers of its tensors, no weights.

use super::build::{build, supported};
use super::config::{ArchInfo, ids, sorted};
use super::json::{parse_json, parse_keys};
use super::spec::ModelSpec;
use super::tensors::{Dialect, ROPE_FREQS};
use crate::error::{Error, Result};
use crate::formats::gguf::Metadata;
use crate::formats::source::{Files, read_whole};
use crate::formats::{DType, TensorFile, gguf, safetensors};
use serde_json::Value;
use std::ops::RangeInclusive;

/// Largest config.json and the like.
const MAX_CONFIG: u64 = 8 << 20;
/// Whether a key of tokenizer_config.json and special_tokens_map.json is read; the others are skipped.
fn is_tokenizer_key(key: &str) -> bool {
    key.ends_with("_token")
        || matches!(key, ADDED_TOKENS | "additional_special_tokens" | "extra_special_tokens" | "chat_template")
}
/// One entry of seven values per added token, of which there are up to tens of thousands: this stays text.
const ADDED_TOKENS: &str = "added_tokens_decoder";
/// Largest tokenizer.json: those of 262144 tokens have 33 MB.
const MAX_TOKENIZER: u64 = 40 << 20;

/// What is read of a file to see its kind.
const MAGIC_BYTES: u64 = 9;

/// Temperatures that can be asked for, besides 0 (greedy).
pub const TEMPERATURES: RangeInclusive<f32> = 1e-6..=100.0;
/// Repetition penalties that can be asked for; 1 = off.
pub const PENALTIES: RangeInclusive<f32> = 0.01..=3.0;

/// How the makers of a model want tokens drawn (generation_config.json or `general.sampling.*`).
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct GenerationDefaults {
    /// 0 when the file says `do_sample: false`; 1 when it says true and no temperature.
    pub temperature: Option<f32>,
    /// Candidates kept.
    pub top_k: Option<u32>,
    /// Probability mass kept.
    pub top_p: Option<f32>,
    /// Share of the best probability that a candidate needs.
    pub min_p: Option<f32>,
    /// Penalty of tokens seen before.
    pub repetition_penalty: Option<f32>,
}

impl GenerationDefaults {
    /// From generation_config.json; values of a wrong type or range are left out: they are only defaults.
    pub fn from_json(v: &Value) -> GenerationDefaults {
        let float =
            |k: &str, ok: fn(f32) -> bool| v.get(k).and_then(Value::as_f64).map(|f| f as f32).filter(|f| ok(*f));
        let do_sample = v.get("do_sample").and_then(Value::as_bool);
        let temperature = float("temperature", |t| t == 0.0 || TEMPERATURES.contains(&t));
        GenerationDefaults {
            temperature: match do_sample {
                Some(false) => Some(0.0),
                Some(true) => temperature.or(Some(1.0)),
                None => temperature,
            },
            top_k: v.get("top_k").and_then(Value::as_u64).and_then(|k| u32::try_from(k).ok()),
            top_p: float("top_p", |p| p > 0.0 && p <= 1.0),
            min_p: float("min_p", |p| (0.0..=1.0).contains(&p)),
            repetition_penalty: float("repetition_penalty", |p| PENALTIES.contains(&p)),
        }
    }

    /// From GGUF metadata.
    pub fn from_gguf(meta: &Metadata) -> GenerationDefaults {
        let mut map = serde_json::Map::new();
        for (key, gguf) in
            [("temperature", "temp"), ("top_p", "top_p"), ("min_p", "min_p"), ("repetition_penalty", "penalty_repeat")]
        {
            if let Some(v) = meta.f64(&format!("general.sampling.{gguf}")) {
                map.insert(key.into(), v.into());
            }
        }
        if let Some(k) = meta.u32("general.sampling.top_k") {
            map.insert("top_k".into(), k.into());
        }
        GenerationDefaults::from_json(&Value::Object(map))
    }
}

/// The files that say how text becomes token ids, unparsed where parsing is the tokenizer's. They are large (up to
/// 100 MiB): `session::text::Text` consumes them, so that none lives while weights are uploaded.
#[derive(Default)]
pub struct TextFiles {
    /// GGUF metadata.
    pub gguf: Option<Metadata>,
    /// tokenizer.json
    pub tokenizer_json: Option<Vec<u8>>,
    /// What matters of tokenizer_config.json.
    pub tokenizer_config: Option<Value>,
    /// What matters of special_tokens_map.json; absent where tokenizer_config.json lists its tokens itself.
    pub special_tokens_map: Option<Value>,
    /// added_tokens.json, under the same condition.
    pub added_tokens: Option<Value>,
    /// chat_template.jinja
    pub chat_template_jinja: Option<String>,
}

/// Everything about a model except its weights.
pub struct ModelFiles {
    /// What it computes.
    pub spec: ModelSpec,
    /// What it says about itself.
    pub info: ArchInfo,
    /// Where its weights lie.
    pub tensors: TensorFile,
    /// What its tokenizer and chat template are made of.
    pub text: TextFiles,
    /// How to draw tokens unless told otherwise.
    pub generation: GenerationDefaults,
    /// Tokens that end a reply: the union of all files that name some.
    pub eos_ids: Vec<u32>,
}

/// What kind of thing the caller named.
enum Kind {
    Gguf,
    Directory,
}

/// Opens a GGUF (`Files::main` names it) or a Hugging Face directory.
pub async fn open(files: &dyn Files) -> Result<ModelFiles> {
    match kind(files).await? {
        Kind::Gguf => open_gguf(files).await,
        Kind::Directory => open_directory(files).await,
    }
}

/// What a model says about itself, also when it is not supported. Reads no tensors of a directory.
pub async fn describe(files: &dyn Files) -> Result<ArchInfo> {
    match kind(files).await? {
        Kind::Gguf => ArchInfo::from_gguf(&gguf::read(files).await?.0),
        Kind::Directory => ArchInfo::from_config(&config(files).await?),
    }
}

/// The first bytes of a file decide; its name only explains what is refused.
async fn kind(files: &dyn Files) -> Result<Kind> {
    let Some(main) = files.main() else { return Ok(Kind::Directory) };
    let lower = main.to_lowercase();
    if lower.ends_with(".gguf") {
        return Ok(Kind::Gguf);
    }
    let head = match files.open(&main).await? {
        Some(source) => source.read(0, source.len().min(MAGIC_BYTES)).await?,
        None => Vec::new(),
    };
    if head.starts_with(b"GGUF") {
        return Ok(Kind::Gguf);
    }
    let ends = |extensions: &[&str]| extensions.iter().any(|e| lower.ends_with(e));
    // safetensors: the length of the header, then its first brace.
    if ends(&[".safetensors", ".json"]) || head.get(8) == Some(&b'{') {
        return Err(Error::BadRequest(format!(
            "{main} is one file of a model: give the directory that holds it together with config.json and tokenizer.json"
        )));
    }
    // A zip (torch.save) or a bare pickle.
    let pickle = head.starts_with(b"PK\x03\x04") || head.starts_with(b"\x80\x02");
    let old = [b"lmgg", b"fmgg", b"tjgg"].iter().any(|magic| head.starts_with(*magic));
    Err(Error::UnsupportedFormat(if pickle || ends(&[".bin", ".pt", ".pth", ".ckpt"]) && !old {
        format!(
            "{main} is a pickle, which can run code when it is opened: use the safetensors or GGUF files of the model"
        )
    } else if old {
        format!("{main} is in one of the formats before GGUF (GGML, GGMF, GGJT): take a GGUF file of the model")
    } else {
        format!("{main} is no GGUF file: expected a GGUF file or a directory with config.json and .safetensors files")
    }))
}

async fn open_gguf(files: &dyn Files) -> Result<ModelFiles> {
    let (meta, tensors) = gguf::read(files).await?;
    let mut info = ArchInfo::from_gguf(&meta)?;
    supported(&info)?;
    // Matrices may have rows for more tokens than there are, when vocab_size says so, too.
    let padded = meta.u32(&format!("{}.vocab_size", info.model_type)).filter(|said| info.vocab_size < Some(*said));
    if padded.is_some_and(|n| tensors.get("token_embd.weight").is_some_and(|t| t.rows() == u64::from(n))) {
        info.vocab_size = padded;
    }
    let factors = rope_factors(&tensors).await?;
    let spec = build(&info, &tensors, factors)?;
    Ok(ModelFiles {
        eos_ids: below(&info.eos_ids, spec.vocab_size),
        spec,
        info,
        tensors,
        generation: GenerationDefaults::from_gguf(&meta),
        text: TextFiles { gguf: Some(meta), ..TextFiles::default() },
    })
}

async fn config(files: &dyn Files) -> Result<Value> {
    let json = read_json(files, "config.json").await?;
    json.ok_or_else(|| {
        Error::BadRequest(
            "there is no config.json here: expected a .gguf file or a Hugging Face directory with config.json".into(),
        )
    })
}

async fn open_directory(files: &dyn Files) -> Result<ModelFiles> {
    let config = config(files).await?;
    let info = ArchInfo::from_config(&config)?;
    supported(&info)?;
    let mut tensors = match safetensors::read(files).await {
        Ok(tensors) => tensors,
        // With details it is a server that failed: that says nothing about other files, and asking it again takes time.
        Err(e) if matches!(e, Error::DownloadFailed(_)) => {
            for pickle in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
                if files.open(pickle).await?.is_some() {
                    return Err(Error::UnsupportedFormat(format!(
                        "the weights are in {pickle}, a pickle, which can run code when it is opened: convert them to \
                         safetensors or use a GGUF of the model ({e})"
                    )));
                }
            }
            return Err(e);
        }
        Err(e) => return Err(e),
    };
    drop(config);
    complete_names(&mut tensors);
    let spec = build(&info, &tensors, None)?;
    // Defaults only: what is no JSON counts as none, as in transformers.
    let generation = read_whole(files, "generation_config.json", MAX_CONFIG).await?;
    let generation =
        generation.and_then(|bytes| parse_json("generation_config.json", &bytes).ok()).unwrap_or(Value::Null);
    let mut eos = info.eos_ids.clone();
    eos.extend(ids(generation.get("eos_token_id")));
    let template = read_whole(files, "chat_template.jinja", MAX_CONFIG).await?;
    let tokenizer_config = read_keys(files, "tokenizer_config.json").await?;
    let (mut special_tokens_map, mut added_tokens) = (None, None);
    if tokenizer_config.as_ref().is_none_or(|config| config[ADDED_TOKENS].is_null()) {
        special_tokens_map = read_keys(files, "special_tokens_map.json").await?;
        added_tokens = read_json(files, "added_tokens.json").await?;
    }
    Ok(ModelFiles {
        eos_ids: below(&sorted(eos), spec.vocab_size),
        spec,
        info,
        tensors,
        text: TextFiles {
            gguf: None,
            tokenizer_json: read_whole(files, "tokenizer.json", MAX_TOKENIZER).await?,
            tokenizer_config,
            special_tokens_map,
            added_tokens,
            // Bytes that are no text spoil the template for those who chat, not the load.
            chat_template_jinja: template.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        },
        generation: GenerationDefaults::from_json(&generation),
    })
}

/// A model that was saved without its head lacks the `model.` in front of its names; transformers puts it there, too.
fn complete_names(file: &mut TensorFile) {
    const PREFIX: &str = "model.";
    let TensorFile { tensors, unread, .. } = file;
    let mut names: Vec<&mut String> = tensors.iter_mut().map(|t| &mut t.name).collect();
    names.extend(unread.iter_mut().map(|t| &mut t.name));
    let any = |start| names.iter().any(|name| name.starts_with(start));
    if any("layers.") && !any(PREFIX) {
        names.into_iter().filter(|name| !name.starts_with("lm_head.")).for_each(|name| name.insert_str(0, PREFIX));
    }
}

fn below(ids: &[u32], vocab_size: u32) -> Vec<u32> {
    ids.iter().copied().filter(|id| *id < vocab_size).collect()
}

async fn read_json(files: &dyn Files, name: &str) -> Result<Option<Value>> {
    read_whole(files, name, MAX_CONFIG).await?.map(|bytes| parse_json(name, &bytes)).transpose()
}

/// What matters of tokenizer_config.json or special_tokens_map.json.
async fn read_keys(files: &dyn Files, name: &str) -> Result<Option<Value>> {
    read_whole(files, name, MAX_CONFIG)
        .await?
        .map(|bytes| parse_keys(name, &bytes, is_tokenizer_key, &[ADDED_TOKENS]))
        .transpose()
}

/// The values of `rope_freqs.weight`.
async fn rope_factors(tensors: &TensorFile) -> Result<Option<Vec<f32>>> {
    let Some(t) = tensors.get(ROPE_FREQS).filter(|_| Dialect::of(tensors) == Dialect::Gguf) else { return Ok(None) };
    if t.dtype != DType::F32 || t.bytes > 4096 {
        return Err(Error::BadFile(format!(
            "{ROPE_FREQS} is {} of shape {:?}, expected a short list of F32",
            t.dtype.name(),
            t.shape
        )));
    }
    let bytes = tensors.read(t, 0, t.bytes).await?;
    Ok(Some(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()))
}
