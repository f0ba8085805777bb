//! What a model says about itself: config.json of either transformers dialect (4: `rope_theta`, `rope_scaling`,
//! `torch_dtype`; 5: `rope_parameters`, `dtype`), read leniently enough for architectures that do not run yet.
//! GGUF metadata becomes the same [`ArchInfo`] in `gguf_config`.

pub use super::json::parse_json;
pub use super::open::{GenerationDefaults, ModelFiles, open};
pub use super::rope_config::RopeInfo;

use super::archs::{Arch, Windows};
use super::build::MAX_LAYERS;
use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// A number that may differ by layer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum PerLayer {
    /// The same in every layer.
    All(u32),
    /// One per layer.
    Each(Vec<u32>),
}

impl PerLayer {
    /// The value of a layer.
    pub fn at(&self, layer: usize) -> Option<u32> {
        match self {
            PerLayer::All(n) => Some(*n),
            PerLayer::Each(list) => list.get(layer).copied(),
        }
    }
}

/// What a model says about itself, whatever the architecture. Absent values are None or empty.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct ArchInfo {
    /// `model_type` or `general.architecture`.
    pub model_type: String,
    /// It comes from GGUF metadata (else from config.json).
    pub gguf: bool,
    /// The row of `archs::ALL`; None = not supported yet.
    #[serde(skip)]
    pub arch: Option<&'static Arch>,
    /// Layers.
    pub n_layers: Option<u32>,
    /// Residual width.
    pub d_model: Option<u32>,
    /// Query heads.
    pub n_heads: Option<PerLayer>,
    /// Key and value heads; None = as many as `n_heads`.
    pub n_kv_heads: Option<PerLayer>,
    /// Dimensions of a head; None = d_model / n_heads.
    pub head_dim: Option<u32>,
    /// Neurons of the FFN.
    pub d_ff: Option<PerLayer>,
    /// Rows of the embedding table.
    pub vocab_size: Option<u32>,
    /// Experts of a mixture; 0 = dense.
    pub n_experts: u32,
    /// Experts that one token uses.
    pub n_experts_per_token: u32,
    /// Neurons of one expert.
    pub d_ff_expert: Option<u32>,
    /// Longest context.
    pub context_length: Option<u32>,
    /// Epsilon of the norms.
    pub norm_eps: Option<f64>,
    /// Rotary embeddings; empty = none mentioned.
    pub ropes: Vec<RopeInfo>,
    /// Rotated dimensions of a head, when the file counts them.
    pub n_rot: Option<u32>,
    /// Sliding window.
    pub window: Option<u32>,
    /// `sliding_attention`, `full_attention`, ... per layer; empty = not said.
    pub layer_types: Vec<String>,
    /// Every n-th layer is full, the others have the window.
    pub window_pattern: Option<u32>,
    /// Base of the rotary embedding of window layers, where it has one of its own.
    pub window_rope_theta: Option<f64>,
    /// Softmax scale; None = 1/sqrt(head_dim).
    pub attention_scale: Option<f64>,
    /// Activation of the FFN.
    pub hidden_act: Option<String>,
    /// Whether q, k, v and o have biases, when the file says so.
    pub attention_bias: Option<bool>,
    /// Whether gate, up and down have biases, when the file says so.
    pub mlp_bias: Option<bool>,
    /// Whether the output matrix is the embedding table, when the file says so.
    pub tied_embeddings: Option<bool>,
    /// Type the weights were saved in.
    pub dtype: Option<String>,
    /// Quantisation method of the checkpoint (`quantization_config`).
    pub quantization: Option<String>,
    /// Method of the key `activation_sparsity`.
    pub activation_sparsity: Option<String>,
    /// What else the file asks for and no architecture here computes yet, by name and value.
    pub unsupported_options: Vec<String>,
    /// End-of-text ids.
    pub eos_ids: Vec<u32>,
}

impl ArchInfo {
    /// Reads a config.json. Unknown architectures are read, too; values of a wrong type are a `bad-file` error.
    pub fn from_config(config: &Value) -> Result<ArchInfo> {
        let outer = config
            .as_object()
            .ok_or_else(|| Error::BadFile("config.json is not a JSON object: it does not describe a model".into()))?;
        let inner = ["text_config", "llm_config", "language_config"].iter().find_map(|k| outer.get(*k)?.as_object());
        let keys = Keys { inner: inner.unwrap_or(outer), outer };
        // The outer type: a wrapper's tensors have other names than the text model alone.
        let model_type = [outer, keys.inner]
            .iter()
            .find_map(|m| m.get("model_type")?.as_str())
            .or_else(|| outer.get("architectures")?.get(0)?.as_str())
            .ok_or_else(|| Error::BadFile("config.json has no model_type: it does not describe a model".into()))?;
        let n_experts = keys.u32(&["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"])?;
        let n_experts = n_experts.or(keys.u32(&["moe_num_primary_experts"])?).unwrap_or(0);
        let top_k = ["num_experts_per_tok", "top_k_experts", "moe_top_k", "experts_per_token"];
        let top_k = keys.u32(&top_k)?.or(keys.u32(&["moe_num_active_primary_experts"])?).unwrap_or(0);
        let arch = Arch::by_model_type(model_type);
        let window_asked = keys.bool(&["use_sliding_window"])?;
        let window_on = window_asked.unwrap_or(arch.is_none_or(|a| a.windows != Windows::Asked));
        let n_layers = keys.u32(&["num_hidden_layers", "n_layer", "num_layers"])?;
        let mut layer_types = keys.strings("layer_types")?;
        if let (Some(true), Some(first), true) =
            (window_asked, keys.u32(&["max_window_layers"])?, layer_types.is_empty())
        {
            let kind = |i| if i < first { "full_attention" } else { "sliding_attention" };
            layer_types = (0..n_layers.unwrap_or(0).min(MAX_LAYERS)).map(|i| kind(i).to_string()).collect();
        }
        let mut eos_ids = ids(keys.get(&["eos_token_id"]));
        eos_ids.extend(ids(outer.get("eos_token_id")));
        Ok(ArchInfo {
            model_type: model_type.to_string(),
            gguf: false,
            arch,
            n_layers,
            d_model: keys.u32(&["hidden_size", "n_embd", "d_model"])?,
            n_heads: keys.per_layer(&["num_attention_heads", "n_head"])?,
            n_kv_heads: keys.per_layer(&["num_key_value_heads"])?,
            head_dim: keys.u32(&["head_dim", "kv_channels"])?,
            d_ff: keys.per_layer(&["intermediate_size", "ffn_hidden_size", "n_inner", "moe_ffn_hidden_size"])?,
            vocab_size: keys.u32(&["vocab_size"])?,
            n_experts,
            n_experts_per_token: top_k,
            d_ff_expert: keys.u32(&["moe_intermediate_size", "moe_ffn_hidden_size"])?,
            context_length: keys
                .context(&["max_position_embeddings", "n_positions", "max_sequence_length"])?
                .or(arch.map(|a| a.context_length)),
            norm_eps: keys.f64(&["rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps"])?,
            ropes: ropes(&keys)?,
            n_rot: None,
            window: keys.u32(&["sliding_window", "sliding_window_size"])?.filter(|w| window_on && *w > 0),
            layer_types,
            window_pattern: keys.u32(&["sliding_window_pattern", "_sliding_window_pattern"])?,
            window_rope_theta: keys.f64(&["rope_local_base_freq"])?,
            attention_scale: keys.f64(&["query_pre_attn_scalar"])?.map(|n| 1.0 / n.sqrt()),
            hidden_act: keys.str(&["hidden_act", "hidden_activation", "activation_function", "mlp_hidden_act"])?,
            attention_bias: keys.bool(&["attention_bias"])?,
            mlp_bias: keys.bool(&["mlp_bias"])?,
            tied_embeddings: keys.bool(&["tie_word_embeddings"])?,
            // The tensors say their own types; a dictionary of types per part is not for us to judge.
            dtype: keys.get(&["dtype", "torch_dtype"]).and_then(Value::as_str).map(str::to_string),
            quantization: quantization(&keys),
            activation_sparsity: keys.get(&["activation_sparsity"]).map(|v| match v.get("method") {
                Some(Value::String(method)) => method.clone(),
                _ => "of an unnamed method".into(),
            }),
            unsupported_options: keys.unsupported(),
            eos_ids: sorted(eos_ids),
        })
    }
}

/// Keys whose value changes what a model computes and which nothing here obeys yet, unless it is null or false.
const UNSUPPORTED: &[&str] = &["attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention"];

/// The method that a checkpoint was quantised with.
fn quantization(keys: &Keys<'_>) -> Option<String> {
    let q = keys.get(&["quantization_config", "compression_config", "quantization"])?;
    let text = |k: &str| q.get(k).and_then(Value::as_str);
    Some(match (text("quant_method"), text("format")) {
        (Some(method), Some(format)) => format!("{method} ({format})"),
        (Some(method), None) => method.to_string(),
        // MLX writes {group_size, bits} and no method.
        (None, _) if q.get("bits").is_some() && q.get("group_size").is_some() => "mlx".into(),
        (None, _) => "an unnamed method".into(),
    })
}

/// Token ids in an integer or a list; anything else (null, -1) is none.
pub(super) fn ids(value: Option<&Value>) -> Vec<u32> {
    let id = |v: &Value| v.as_u64().and_then(|i| u32::try_from(i).ok());
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(v) => id(v).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Sorted and without repetitions.
pub(super) fn sorted(mut ids: Vec<u32>) -> Vec<u32> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn ropes(keys: &Keys<'_>) -> Result<Vec<RopeInfo>> {
    let parameters = keys.get(&["rope_parameters"]).and_then(Value::as_object);
    let inner_theta = parameters.map(|map| Keys { inner: map, outer: map }.f64(&["rope_theta"])).transpose()?.flatten();
    let theta = inner_theta.or(keys.f64(&["rope_theta", "rotary_emb_base"])?);
    let partial = keys.f64(&["partial_rotary_factor", "rotary_pct"])?;
    let parse = |layer_type: Option<&String>, map: &Map<String, Value>| -> Result<RopeInfo> {
        let of = Keys { inner: map, outer: map };
        Ok(RopeInfo {
            layer_type: layer_type.cloned(),
            kind: of.str(&["rope_type", "type"])?.unwrap_or_else(|| "default".into()),
            theta: of.f64(&["rope_theta"])?.or(theta),
            factor: of.f64(&["factor"])?,
            low: of.f64(&["low_freq_factor"])?,
            high: of.f64(&["high_freq_factor"])?,
            original: of.f64(&["original_max_position_embeddings"])?,
            partial: of.f64(&["partial_rotary_factor"])?.or(partial),
            // 0 is as if absent.
            fast: of.f64(&["beta_fast"])?.filter(|v| *v != 0.0),
            slow: of.f64(&["beta_slow"])?.filter(|v| *v != 0.0),
            truncate: of.bool(&["truncate"])?,
            magnitude: of.f64(&["attention_factor"])?,
            mscale: of.f64(&["mscale"])?.zip(of.f64(&["mscale_all_dim"])?).filter(|(all, part)| all * part != 0.0),
        })
    };
    // Of both, the older name counts, as in transformers 5.
    match keys.get(&["rope_scaling", "rope_parameters"]) {
        None if theta.is_none() && partial.is_none() => Ok(Vec::new()),
        None => Ok(vec![parse(None, &Map::new())?]),
        Some(Value::Object(map)) => {
            let by_layer_type =
                map.values().any(Value::is_object) && map.values().all(|v| v.is_object() || v.is_null());
            if by_layer_type {
                map.iter().filter_map(|(k, v)| Some(parse(Some(k), v.as_object()?))).collect()
            } else {
                Ok(vec![parse(None, map)?])
            }
        }
        Some(other) => Err(wrong("rope_parameters", other, "an object")),
    }
}

fn wrong(key: &str, value: &Value, expected: &str) -> Error {
    let mut text = value.to_string();
    if text.len() > 60 {
        text = text.chars().take(60).chain("...".chars()).collect();
    }
    Error::BadFile(format!("config.json: {key} is {text}, expected {expected}"))
}

/// A number, also tagged as `{"__float__": "Infinity"}`.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Object(map) => map.get("__float__")?.as_str()?.parse().ok(),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u32> {
    let n = number(value)?;
    (n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&n)).then_some(n as u32)
}

/// Values by any of several names: of the text model, else of the wrapper around it. Null counts as absent.
struct Keys<'a> {
    inner: &'a Map<String, Value>,
    outer: &'a Map<String, Value>,
}

impl<'a> Keys<'a> {
    fn entry(&self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        let find = |map: &'a Map<String, Value>| {
            names.iter().find_map(|n| map.get(*n).filter(|v| !v.is_null()).map(|v| (*n, v)))
        };
        find(self.inner).or_else(|| find(self.outer))
    }
    fn get(&self, names: &[&'static str]) -> Option<&'a Value> {
        self.entry(names).map(|(_, v)| v)
    }
    fn value<T>(&self, names: &[&'static str], expected: &str, f: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        self.entry(names).map(|(name, v)| f(v).ok_or_else(|| wrong(name, v, expected))).transpose()
    }
    fn u32(&self, names: &[&'static str]) -> Result<Option<u32>> {
        self.value(names, "a whole number", whole)
    }
    fn f64(&self, names: &[&'static str]) -> Result<Option<f64>> {
        self.value(names, "a number", number)
    }
    fn bool(&self, names: &[&'static str]) -> Result<Option<bool>> {
        self.value(names, "true or false", Value::as_bool)
    }
    fn str(&self, names: &[&'static str]) -> Result<Option<String>> {
        self.value(names, "a text", |v| v.as_str().map(str::to_string))
    }
    /// A length that may be absurdly large (1e30) when a model has no limit.
    fn context(&self, names: &[&'static str]) -> Result<Option<u32>> {
        self.value(names, "a number of tokens", |v| number(v).filter(|n| *n >= 0.0).map(|n| n.min(1e9) as u32))
    }
    fn per_layer(&self, names: &[&'static str]) -> Result<Option<PerLayer>> {
        self.value(names, "a whole number or a list of them", |v| match v {
            // null: a layer without that part.
            Value::Array(list) => list
                .iter()
                .map(|v| if v.is_null() { Some(0) } else { whole(v) })
                .collect::<Option<_>>()
                .map(PerLayer::Each),
            v => whole(v).map(PerLayer::All),
        })
    }
    fn unsupported(&self) -> Vec<String> {
        let asked = |key: &&&'static str| !matches!(self.get(&[**key]), None | Some(Value::Bool(false)));
        let found = UNSUPPORTED.iter().filter(asked);
        found.map(|key| format!("{key} = {}", self.get(&[*key]).unwrap_or(&Value::Null))).collect()
    }
    fn strings(&self, name: &'static str) -> Result<Vec<String>> {
        let list = self.value(&[name], "a list of texts", |v| {
            v.as_array()?.iter().map(|s| s.as_str().map(str::to_string)).collect::<Option<Vec<_>>>()
        })?;
        Ok(list.unwrap_or_default())
    }
}
