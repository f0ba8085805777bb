//! One reply: tokens in flight, the text made of them so far, and what they cost.

use super::{FinishReason, GenerateOptions, Piece, SessionId, Usage};
use crate::clock;
use crate::decode::stop::StopTexts;
use crate::formats::source::LocalFuture;
use crate::kernels::sample_reduce::Sampling;
use crate::model::open::{GenerationDefaults, PENALTIES, TEMPERATURES};
use crate::text::stream::Detokenizer;
use crate::{Error, Result};
use std::collections::VecDeque;

/// A reply under way.
pub(super) struct Reply {
    /// Whose it is.
    pub session: SessionId,
    /// Steps submitted, oldest first.
    pub pending: VecDeque<LocalFuture<'static, Result<u32>>>,
    /// Drawn, not yet given out (the token drawn by prefill).
    pub ready: Option<u32>,
    /// Tokens given out.
    pub given: Vec<u32>,
    /// Decode steps submitted whose tokens are not in `cache.ids` yet: step k consumes `given[k]`.
    pub submitted: usize,
    /// Most tokens to give out.
    pub max_tokens: u32,
    /// Ids that end the reply.
    pub eos_ids: Vec<u32>,
    /// Ids -> whole characters. None for a model without a tokenizer.
    pub detokenizer: Option<Detokenizer>,
    /// Holds back text that may begin a stop text.
    pub stop: StopTexts,
    /// Why it ended.
    pub finished: Option<FinishReason>,
    /// For [`Usage`].
    pub timing: Timing,
}

/// What [`Usage`] is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub prompt_tokens: u32,
    pub cached_tokens: u32,
    pub started: f64,
    pub first_token: f64,
    pub last_token: f64,
}

impl Reply {
    /// The text still held back at the end.
    pub fn finish_text(&mut self) -> Result<Piece> {
        let rest = match self.detokenizer.take() {
            Some(mut detokenizer) => detokenizer.finish()?,
            None => String::new(),
        };
        let mut text = self.stop.push(&rest);
        text += &self.stop.finish();
        Ok(Piece { text, ids: Vec::new() })
    }

    pub fn usage(&self) -> Option<Usage> {
        let t = &self.timing;
        let computed = f64::from(t.prompt_tokens - t.cached_tokens);
        Some(Usage {
            prompt_tokens: t.prompt_tokens,
            cached_tokens: t.cached_tokens,
            completion_tokens: self.given.len() as u32,
            finish_reason: self.finished?,
            time_to_first_token_s: t.first_token - t.started,
            prefill_tokens_per_s: rate(computed, t.first_token - t.started),
            decode_tokens_per_s: rate(self.given.len().saturating_sub(1) as f64, t.last_token - t.first_token),
        })
    }
}

fn rate(n: f64, seconds: f64) -> f64 {
    if n > 0.0 && seconds > 0.0 { n / seconds } else { 0.0 }
}

/// Checks the options against their ranges and fills in the model's defaults.
pub(super) fn sampling(options: &GenerateOptions, defaults: &GenerationDefaults) -> Result<Sampling> {
    let temperature = options.temperature.or(defaults.temperature).unwrap_or(0.0);
    let top_p = options.top_p.or(defaults.top_p).unwrap_or(1.0);
    let min_p = options.min_p.or(defaults.min_p).unwrap_or(0.0);
    let penalty = options.repetition_penalty.or(defaults.repetition_penalty).unwrap_or(1.0);
    let check = |name: &str, value: f32, ok: bool, range: &str| match ok {
        true => Ok(()),
        false => Err(Error::BadRequest(format!("{name} is {value}; it must be {range}")).with("option", name)),
    };
    let warm = temperature == 0.0 || TEMPERATURES.contains(&temperature);
    check("temperature", temperature, warm, "0 (greedy), or between 1e-6 and 100")?;
    check("topP", top_p, top_p > 0.0 && top_p <= 1.0, "above 0 and at most 1")?;
    check("minP", min_p, (0.0..=1.0).contains(&min_p), "between 0 and 1")?;
    check("repetitionPenalty", penalty, PENALTIES.contains(&penalty), "between 0.01 and 3 (1 = off)")?;
    Ok(Sampling {
        temperature,
        top_k: options.top_k.or(defaults.top_k).unwrap_or(0),
        top_p,
        min_p,
        repetition_penalty: penalty,
        seed: options.seed.unwrap_or_else(random_seed),
        reserved: [0; 2],
    })
}

/// A seed that differs from call to call: hashed time. Not for secrets.
fn random_seed() -> u32 {
    let bits = clock::unix_seconds().to_bits() ^ clock::seconds().to_bits().rotate_left(17);
    let mut z = bits ^ (bits >> 29);
    z = z.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^= z >> 32;
    z as u32
}
