//! What callers choose and what they get back.

use crate::kernels::KvType;
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
    /// None = random.
    pub seed: Option<u32>,
    /// Do not stop at end-of-text tokens (benchmarks, goldens).
    pub ignore_eos: bool,
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
