//! What callers choose and what they get back.

use crate::kernels::KvType;
use crate::model::open::{PENALTIES, TEMPERATURES};
use crate::{Error, Result};

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Longest context to allow; None = the model's own, at most 4096.
    pub context_length: Option<u32>,
    /// Element type of the KV cache.
    pub kv_type: KvType,
    /// Tokens in flight in decode, 1 to [`LoadOptions::MAX_DEPTH`].
    pub depth: u32,
    /// Bytes of device memory that sessions not in use may keep; beyond it the least recently used prefill again.
    pub parked_bytes: u64,
}

impl LoadOptions {
    /// Most steps in flight: more only delay an abort, they do not keep the device busier.
    pub const MAX_DEPTH: u32 = 16;

    /// Refuses what no model can be loaded with.
    pub(super) fn check(&self) -> Result<()> {
        let (depth, max) = (self.depth, Self::MAX_DEPTH);
        match (1..=max).contains(&depth) {
            true => Ok(()),
            false => Err(Error::BadRequest(format!("depth is {depth}; it must be between 1 and {max}"))
                .with("option", "depth")
                .with("min", 1)
                .with("max", max)),
        }
    }
}

/// Default of [`LoadOptions::parked_bytes`]. A page that makes a session per question and disposes of none must not fill
/// the memory of a phone.
const PARKED_BYTES: u64 = if cfg!(target_arch = "wasm32") { 128 << 20 } else { 512 << 20 };

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions { context_length: None, kv_type: KvType::F16, depth: 3, parked_bytes: PARKED_BYTES }
    }
}

/// Progress of a load, in bytes of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Bytes read from the source so far.
    pub downloaded_bytes: u64,
    /// Bytes written to device buffers so far.
    pub uploaded_bytes: u64,
    /// Bytes the source has to give (all tensors).
    pub total_bytes: u64,
}

/// How to draw tokens.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct GenerateOptions {
    /// Most tokens to generate; None = as many as the context holds.
    pub max_tokens: Option<u32>,
    /// None = the model's generation_config, else 0 (greedy).
    pub temperature: Option<f32>,
    /// See `kernels::sample_reduce::Sampling`.
    pub top_k: Option<u32>,
    /// See `Sampling`.
    pub top_p: Option<f32>,
    /// See `Sampling`.
    pub min_p: Option<f32>,
    /// See `Sampling`.
    pub repetition_penalty: Option<f32>,
    /// Texts that end the reply (they are not part of it).
    pub stop: Vec<String>,
    /// 0 to [`GenerateOptions::MAX_SEED`]; None = random. Seeds below 2^32 go to the sampler as they are, larger ones
    /// hashed to 32 bits, natively and in JavaScript alike.
    #[serde(deserialize_with = "seed")]
    pub seed: Option<u64>,
    /// Do not stop at end-of-text tokens (benchmarks, goldens).
    pub ignore_eos: bool,
}

impl GenerateOptions {
    /// Largest seed: up to here JavaScript's numbers are exact, and `Date.now()` is far below.
    pub const MAX_SEED: u64 = 1 << 53;

    /// Refuses values out of range, by the option's name: `bad-request` with `option` in its details.
    pub fn check(&self) -> Result<()> {
        let check = |name: &str, value: Option<f32>, ok: fn(f32) -> bool, range: &str| match value {
            Some(value) if !ok(value) => {
                Err(Error::BadRequest(format!("{name} is {value}; it must be {range}")).with("option", name))
            }
            _ => Ok(()),
        };
        let warm = |t: f32| t == 0.0 || TEMPERATURES.contains(&t);
        check("temperature", self.temperature, warm, "0 (greedy), or between 1e-6 and 100")?;
        check("topP", self.top_p, |p| p > 0.0 && p <= 1.0, "above 0 and at most 1")?;
        check("minP", self.min_p, |p| (0.0..=1.0).contains(&p), "between 0 and 1")?;
        let penalty = |p: f32| PENALTIES.contains(&p);
        check("repetitionPenalty", self.repetition_penalty, penalty, "between 0.01 and 3 (1 = off)")?;
        match self.seed {
            Some(seed) if seed > Self::MAX_SEED => Err(bad_seed(seed)),
            _ => Ok(()),
        }
    }
}

fn bad_seed(seed: impl std::fmt::Display) -> Error {
    let max = GenerateOptions::MAX_SEED;
    Error::BadRequest(format!("seed is {seed}; it must be a whole number from 0 to {max} (2^53)"))
        .with("option", "seed")
        .with("min", 0)
        .with("max", max)
}

/// A seed as JavaScript has it: all that is allowed is exact in f64, and 2^53 itself comes as no integer.
fn seed<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match <Option<f64> as serde::Deserialize>::deserialize(from)? {
        None => Ok(None),
        Some(v) if v.fract() == 0.0 && (0.0..=GenerateOptions::MAX_SEED as f64).contains(&v) => Ok(Some(v as u64)),
        Some(v) => Err(serde::de::Error::custom(bad_seed(v))),
    }
}

/// A piece of a reply.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Piece {
    /// Whole characters only; may be empty.
    pub text: String,
    /// The token ids behind it.
    pub ids: Vec<u32>,
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// End-of-text token or stop text.
    Stop,
    /// `max_tokens` or the context is full.
    Length,
}

/// What a reply cost.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Tokens of the whole prompt.
    pub prompt_tokens: u32,
    /// Of these, found in the KV cache.
    pub cached_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Seconds from the call to the first token.
    pub time_to_first_token_s: f64,
    /// Prompt tokens that were computed, per second.
    pub prefill_tokens_per_s: f64,
    /// Generated tokens per second after the first.
    pub decode_tokens_per_s: f64,
}
