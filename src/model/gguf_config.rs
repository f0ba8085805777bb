//! GGUF metadata -> [`ArchInfo`] (keys: weights.md A1.5, runtime.md E0.4).

use super::archs::Arch;
use super::config::{ArchInfo, PerLayer, RopeInfo, sorted};
use super::rope_config::yarn_magnitude;
use crate::error::{Error, Result};
use crate::formats::gguf::{Metadata, Value};

/// What `general.type` calls files that hold no model of their own. Other words (also none) are as if absent.
const PARTS: &[&str] = &["adapter", "mmproj", "imatrix", "projector"];

impl ArchInfo {
    /// Reads GGUF metadata.
    pub fn from_gguf(meta: &Metadata) -> Result<ArchInfo> {
        let arch = meta
            .str("general.architecture")
            .ok_or_else(|| Error::BadFile("the GGUF has no general.architecture: it does not hold a model".into()))?;
        if let Some(kind) = meta.str("general.type").filter(|t| PARTS.contains(t)) {
            return Err(Error::UnsupportedFormat(format!(
                "this GGUF holds a part of another model (general.type is {kind}): open the model's own GGUF"
            )));
        }
        let key = |k: &str| format!("{arch}.{k}");
        let int = |k: &str| whole(meta, &key(k));
        let per_layer = |k: &str| per_layer(meta, &key(k));
        let float = |k: &str| meta.f64(&key(k));
        let head_dim = int("attention.key_length")?;
        if let (Some(k), Some(v)) = (head_dim, int("attention.value_length")?)
            && k != v
        {
            return Err(Error::UnsupportedModel(format!(
                "keys of {k} and values of {v} dimensions per head are not supported yet: both must be equal"
            )));
        }
        // As in llama.cpp the list of tokens decides: vocab_size goes stale when tokens are added, and is read only where
        // there is no list.
        let vocab_size = match meta.strings("tokenizer.ggml.tokens") {
            Some(tokens) => Some(u32::try_from(tokens.len()).unwrap_or(u32::MAX)),
            None => int("vocab_size")?,
        };
        Ok(ArchInfo {
            model_type: arch.to_string(),
            gguf: true,
            arch: Arch::by_gguf(arch),
            n_layers: int("block_count")?,
            d_model: int("embedding_length")?,
            n_heads: per_layer("attention.head_count")?,
            n_kv_heads: per_layer("attention.head_count_kv")?,
            head_dim,
            d_ff: per_layer("feed_forward_length")?,
            vocab_size,
            n_experts: int("expert_count")?.unwrap_or(0),
            n_experts_per_token: int("expert_used_count")?.unwrap_or(0),
            d_ff_expert: int("expert_feed_forward_length")?,
            context_length: float("context_length").filter(|n| *n >= 0.0).map(|n| n.min(1e9) as u32),
            norm_eps: float("attention.layer_norm_rms_epsilon").or(float("attention.layer_norm_epsilon")),
            ropes: vec![rope(meta, arch)],
            n_rot: int("rope.dimension_count")?,
            window: int("attention.sliding_window")?.filter(|w| *w > 0),
            window_pattern: window_pattern(meta, &key("attention.sliding_window_pattern")),
            layer_types: layer_types(meta, &key("attention.sliding_window_pattern")),
            window_rope_theta: float("rope.freq_base_swa"),
            attention_scale: float("attention.scale").filter(|s| *s != 0.0),
            unsupported_options: ["attn_logit_softcapping", "final_logit_softcapping"]
                .iter()
                .filter_map(|k| Some(format!("{k} = {}", float(k).filter(|v| *v != 0.0)?)))
                .collect(),
            eos_ids: sorted(meta.end_ids()),
            ..ArchInfo::default()
        })
    }
}

/// Every n-th layer is full, when the pattern is a number.
fn window_pattern(meta: &Metadata, key: &str) -> Option<u32> {
    meta.u32(key)
}

/// Types of layers, when the pattern is a list of whether each has the window.
fn layer_types(meta: &Metadata, key: &str) -> Vec<String> {
    let name = |windowed: &bool| if *windowed { "sliding_attention" } else { "full_attention" }.to_string();
    match meta.get(key) {
        Some(Value::Bools(list)) => list.iter().map(name).collect(),
        _ => Vec::new(),
    }
}

fn rope(meta: &Metadata, arch: &str) -> RopeInfo {
    let float = |k: &str| meta.f64(&format!("{arch}.rope.{k}"));
    let factor = float("scaling.factor").or(float("scale_linear")).filter(|f| *f != 0.0);
    let magnitude = float("scaling.attn_factor");
    let kind = match (meta.str(&format!("{arch}.rope.scaling.type")), factor) {
        (None | Some("none" | "linear"), None) => "none",
        (Some(kind), _) => kind,
        // A factor without a type is linear (llama.cpp's default); a factor of 1 changes nothing.
        (None, Some(_)) => "linear",
    };
    RopeInfo {
        // With a factor of 1, YaRN is a magnitude and nothing else.
        kind: if kind == "none" && magnitude.is_some() { "yarn" } else { kind }.to_string(),
        theta: float("freq_base"),
        // No factor is a factor of 1 here, other than in config.json.
        factor: factor.filter(|_| kind != "none").or((kind == "yarn" || magnitude.is_some()).then_some(1.0)),
        original: float("scaling.original_context_length"),
        fast: float("scaling.yarn_beta_fast"),
        slow: float("scaling.yarn_beta_slow"),
        // A multiplier of what YaRN suggests, not in place of it.
        magnitude: magnitude.map(|times| times * factor.map_or(1.0, |factor| yarn_magnitude(factor, 1.0))),
        ..RopeInfo::default()
    }
}

fn wrong(key: &str, value: &Value, expected: &str) -> Error {
    let found = match value {
        Value::Int(i) => i.to_string(),
        Value::Float(f) => f.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::String(_) => "a text".into(),
        Value::Skipped(what) => (*what).into(),
        Value::Ints(_) | Value::Floats(_) | Value::Bools(_) | Value::Strings(_) => "a list".into(),
    };
    Error::BadFile(format!("GGUF metadata: {key} is {found}, expected {expected}"))
}

fn whole(meta: &Metadata, key: &str) -> Result<Option<u32>> {
    match meta.get(key) {
        None => Ok(None),
        Some(Value::Int(i)) if u32::try_from(*i).is_ok() => Ok(Some(*i as u32)),
        // Some converters write the same number once per layer.
        Some(Value::Ints(list)) if list.windows(2).all(|w| w[0] == w[1]) && !list.is_empty() => {
            Ok(Some(u32::try_from(list[0]).map_err(|_| wrong(key, &Value::Int(list[0].into()), "a whole number"))?))
        }
        Some(other) => Err(wrong(key, other, "a whole number")),
    }
}

fn per_layer(meta: &Metadata, key: &str) -> Result<Option<PerLayer>> {
    match meta.get(key) {
        Some(Value::Ints(list)) => {
            let numbers: Option<Vec<u32>> = list.iter().map(|i| u32::try_from(*i).ok()).collect();
            let numbers = numbers.ok_or_else(|| {
                Error::BadFile(format!("GGUF metadata: {key} has a negative or huge number, expected whole numbers"))
            })?;
            Ok(Some(PerLayer::Each(numbers)))
        }
        _ => Ok(whole(meta, key)?.map(PerLayer::All)),
    }
}
