//! Rotary embeddings as files describe them.

use super::spec::RopeScaling;
use crate::error::{Error, Result};

/// One rotary embedding as the file describes it.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct RopeInfo {
    /// Layer type it is for (`full_attention`, ...); None = all layers.
    pub layer_type: Option<String>,
    /// `default`, `linear`, `llama3`, `yarn`, ...
    pub kind: String,
    /// Base.
    pub theta: Option<f64>,
    /// `factor`
    pub factor: Option<f64>,
    /// `low_freq_factor`
    pub low: Option<f64>,
    /// `high_freq_factor`
    pub high: Option<f64>,
    /// `original_max_position_embeddings`
    pub original: Option<f64>,
    /// `partial_rotary_factor`: rotated share of a head.
    pub partial: Option<f64>,
    /// `beta_fast` of YaRN
    pub fast: Option<f64>,
    /// `beta_slow` of YaRN
    pub slow: Option<f64>,
    /// `truncate` of YaRN
    pub truncate: Option<bool>,
    /// `attention_factor` of YaRN, a multiplier of cos and sin; None = what the paper suggests for the factor.
    pub magnitude: Option<f64>,
    /// `mscale` and `mscale_all_dim` of YaRN: weights of the factor's logarithm in the magnitude, and its divisor.
    pub mscale: Option<(f64, f64)>,
}

/// The magnitude that YaRN suggests for a factor; `weight` of its logarithm.
pub(super) fn yarn_magnitude(factor: f64, weight: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 }
}

impl RopeInfo {
    /// The scaling, or an error that names a kind which does not run yet.
    pub fn scaling(&self, context_length: u32) -> Result<RopeScaling> {
        let positive = |name: &str, value: Option<f64>| match value {
            Some(v) if v.is_finite() && v > 0.0 => Ok(v),
            _ => Err(Error::BadFile(format!(
                "rope type {} needs a positive number {name}, found {}",
                self.kind,
                value.map_or("none".into(), |v| v.to_string())
            ))),
        };
        Ok(match self.kind.as_str() {
            // "dynamic" changes the base beyond the model's own context only, and no context is longer here.
            "default" | "none" | "dynamic" => RopeScaling::None,
            "linear" => match positive("factor", self.factor)? {
                1.0 => RopeScaling::None,
                factor => RopeScaling::Linear { factor },
            },
            "llama3" => {
                let low = positive("low_freq_factor", self.low)?;
                let high = positive("high_freq_factor", self.high)?;
                if low >= high {
                    return Err(Error::BadFile(format!(
                        "rope type llama3 needs low_freq_factor < high_freq_factor, found {low} and {high}"
                    )));
                }
                let original = self.original.or(Some(f64::from(context_length)));
                RopeScaling::Llama3 {
                    factor: positive("factor", self.factor)?,
                    low,
                    high,
                    original: positive("original_max_position_embeddings", original)?,
                }
            }
            "yarn" => {
                let trained = f64::from(context_length);
                let original = positive("original_max_position_embeddings", self.original.or(Some(trained)))?;
                let factor = positive("factor", self.factor.or(Some(trained / original)))?;
                let of = |weight| yarn_magnitude(factor, weight);
                let magnitude = self.mscale.map_or(of(1.0), |(all, part)| of(all) / of(part));
                RopeScaling::Yarn {
                    factor,
                    fast: positive("beta_fast", self.fast.or(Some(32.0)))?,
                    slow: positive("beta_slow", self.slow.or(Some(1.0)))?,
                    original,
                    truncate: self.truncate.unwrap_or(true),
                    magnitude: positive("attention_factor", self.magnitude.or(Some(magnitude)))?,
                }
            }
            kind => {
                return Err(Error::UnsupportedModel(format!(
                    "rope type {kind} is not supported yet (supported: default, linear, llama3, yarn)"
                )));
            }
        })
    }
}
