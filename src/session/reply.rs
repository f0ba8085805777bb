//! One reply: tokens in flight, the text made of them so far, and what they cost.

use super::{FinishReason, GenerateOptions, Piece, SessionId, Usage};
use crate::Result;
use crate::clock;
use crate::decode::stop::StopTexts;
use crate::formats::source::LocalFuture;
use crate::kernels::sample_reduce::Sampling;
use crate::model::open::GenerationDefaults;
use crate::text::stream::Detokenizer;
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
    options.check()?;
    let temperature = options.temperature.or(defaults.temperature).unwrap_or(0.0);
    let top_p = options.top_p.or(defaults.top_p).unwrap_or(1.0);
    let min_p = options.min_p.or(defaults.min_p).unwrap_or(0.0);
    let penalty = options.repetition_penalty.or(defaults.repetition_penalty).unwrap_or(1.0);
    Ok(Sampling {
        temperature,
        top_k: options.top_k.or(defaults.top_k).unwrap_or(0),
        top_p,
        min_p,
        repetition_penalty: penalty,
        seed: options.seed.map_or_else(random_seed, fold_seed),
        reserved: [0; 2],
    })
}

/// A seed that differs from call to call: hashed time. Not for secrets.
fn random_seed() -> u32 {
    hash(clock::unix_seconds().to_bits() ^ clock::seconds().to_bits().rotate_left(17))
}

/// The sampler's seed: what fits stays as it is, longer seeds are hashed, so that every bit of them counts.
fn fold_seed(seed: u64) -> u32 {
    u32::try_from(seed).unwrap_or_else(|_| hash(seed))
}

fn hash(bits: u64) -> u32 {
    let mut z = bits ^ (bits >> 29);
    z = z.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^= z >> 32;
    z as u32
}

#[cfg(test)]
mod tests {
    use super::{GenerateOptions, GenerationDefaults, sampling};
    use serde_json::json;

    fn seed_of(seed: u64) -> u32 {
        let options = GenerateOptions { seed: Some(seed), ..GenerateOptions::default() };
        sampling(&options, &GenerationDefaults::default()).unwrap().seed
    }

    #[test]
    fn every_bit_of_a_seed_counts() {
        for small in [0, 1, 42, u64::from(u32::MAX)] {
            assert_eq!(u64::from(seed_of(small)), small);
        }
        // A time in milliseconds and its neighbour, with each bit flipped.
        let now = 1_764_000_000_000;
        for bit in 0..53 {
            assert_ne!(seed_of(now), seed_of(now ^ (1 << bit)), "bit {bit}");
        }
        assert_ne!(seed_of(1 << 53), seed_of(0));
    }

    #[test]
    fn what_is_out_of_range_is_named_with_its_value_and_range() {
        for (options, names) in [
            (json!({"seed": (1u64 << 53) + 2}), ["seed", "9007199254740994", "9007199254740992"]),
            (json!({"seed": -1}), ["seed", "-1", "9007199254740992"]),
            (json!({"seed": 0.5}), ["seed", "0.5", "9007199254740992"]),
            (json!({"temperature": -0.5}), ["temperature", "-0.5", "100"]),
            (json!({"topP": 1.5}), ["topP", "1.5", "at most 1"]),
            (json!({"minP": -1.0}), ["minP", "-1", "between 0 and 1"]),
            (json!({"repetitionPenalty": 9.0}), ["repetitionPenalty", "9", "between 0.01 and 3"]),
        ] {
            let read = serde_json::from_value::<GenerateOptions>(options.clone());
            let message = match read {
                Err(e) => e.to_string(),
                Ok(o) => sampling(&o, &GenerationDefaults::default()).unwrap_err().to_string(),
            };
            assert!(names.iter().all(|n| message.contains(n)), "{options}: {message}");
        }
        for seed in [json!(null), json!(0), json!(1_764_000_000_000u64), json!(9_007_199_254_740_992u64)] {
            let read = serde_json::from_value::<GenerateOptions>(json!({"seed": seed})).expect("a seed");
            assert_eq!(read.seed, seed.as_u64());
        }
    }
}
