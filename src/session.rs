//! A loaded model and what one does with it: prompt -> prefill -> decode -> pieces of text.
//!
//! One KV cache per model, holding the tokens of the last call; a new prompt prefills only what differs from it, so a
//! growing conversation costs its new tokens alone and several sessions share one model. No wgpu types here.

use crate::error::Result;
use crate::execute::Executor;
use crate::formats::source::Files;
use crate::kernels::KvType;
use std::rc::Rc;

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Longest context to allow; None = the model's own, at most 4096.
    pub context_length: Option<u32>,
    /// Element type of the KV cache.
    pub kv_type: KvType,
    /// Tokens in flight in decode.
    pub depth: u32,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions { context_length: None, kv_type: KvType::F16, depth: 3 }
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
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
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

impl Default for GenerateOptions {
    fn default() -> GenerateOptions {
        GenerateOptions {
            max_tokens: None,
            temperature: None,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: None,
            stop: Vec::new(),
            seed: None,
            ignore_eos: false,
        }
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

/// A loaded model on a device.
pub struct Model {
    _private: (),
}

impl Model {
    /// Loads a model. `files` names a GGUF or a directory; `progress` is called after every slice.
    pub async fn load(
        _files: Rc<dyn Files>,
        _executor: Box<dyn Executor>,
        _options: LoadOptions,
        _progress: &mut dyn FnMut(Progress),
    ) -> Result<Model> {
        todo!()
    }

    /// Token ids of a text, with BOS where the tokenizer adds it when `add_special`.
    pub fn tokenize(&self, _text: &str, _add_special: bool) -> Result<Vec<u32>> {
        todo!()
    }

    /// Token ids of a conversation: an array of `{role, content, ...}`, and tools or null, through the chat template.
    pub fn tokenize_chat(&self, _messages: &serde_json::Value, _tools: &serde_json::Value) -> Result<Vec<u32>> {
        todo!()
    }

    /// Whether the model came with a chat template.
    pub fn has_chat_template(&self) -> bool {
        todo!()
    }

    /// Text of token ids.
    pub fn detokenize(&self, _ids: &[u32], _skip_special: bool) -> Result<String> {
        todo!()
    }

    /// Starts a reply: prefills what the cache lacks. A reply that was under way is dropped.
    pub async fn begin(&mut self, _ids: &[u32], _options: &GenerateOptions) -> Result<()> {
        todo!()
    }

    /// The next piece of the reply; None at its end.
    pub async fn next(&mut self) -> Result<Option<Piece>> {
        todo!()
    }

    /// What the last reply cost; None while it goes on.
    pub fn usage(&self) -> Option<Usage> {
        todo!()
    }

    /// A flag that makes the running `begin`, `next` or `logits` fail with `aborted` at the next chance.
    /// `begin` clears it.
    pub fn cancel_flag(&self) -> Rc<std::cell::Cell<bool>> {
        todo!()
    }

    /// Logits `[ids.len(), vocab_size]` of a fresh context: one prefill in chunks of `chunk` tokens (None = the
    /// largest bucket; 1 = decode plan one by one).
    pub async fn logits(&mut self, _ids: &[u32], _chunk: Option<u32>) -> Result<Vec<f32>> {
        todo!()
    }

    /// Facts and counters as JSON: adapter, tier, spec, context_length, gpu_bytes, weight_bytes_per_token,
    /// dispatches_per_token and so on.
    pub fn stats(&self) -> serde_json::Value {
        todo!()
    }
}
