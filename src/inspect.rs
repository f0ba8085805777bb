//! `lacewing inspect`: what a model is, what its tensors are, and what it will cost, before any weight is read.

use crate::error::{Error, Result};
use crate::formats::TensorFile;
use crate::formats::source::{Files, read_whole};
use crate::kernels::Caps;
use crate::model::archs::Arch;
use crate::model::build::supported;
use crate::model::config::{ArchInfo, parse_json};
use crate::model::load::{Weights, estimate};
use crate::model::open::{ModelFiles, TextFiles, describe, open};
use crate::model::spec::{Attention, LayerSpec, ModelSpec, RopeScaling, RopeSpec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Far more than any config.json has.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Facts about a model as JSON. A model that is well-formed but cannot run gets `supported: false`, the reason and
/// what its metadata says; a broken one is an error. Parts and stacks are those of a device with WebGPU's default
/// limits.
pub async fn inspect(files: &dyn Files) -> Result<Value> {
    if let Some(name) = files.main().filter(|m| m.to_lowercase().ends_with(".json")) {
        return inspect_config(files, &name).await;
    }
    let refusal = match open(files).await {
        Ok(model) => match estimate(&model.spec, &model.tensors, Caps::BASE) {
            Ok((weights, gpu_bytes)) => return Ok(report(&model, &weights, gpu_bytes)),
            Err(e) => e,
        },
        Err(e) => e,
    };
    match refusal.kind() {
        Error::UnsupportedModel(_)
        | Error::UnsupportedFormat(_)
        | Error::MissingTensor(_)
        | Error::LimitExceeded(_) => {
            // Where not even the metadata can be read, the reason is all there is to say.
            let Ok(info) = describe(files).await else { return Err(refusal) };
            Ok(json!({
                "supported": false,
                "code": refusal.code(),
                "reason": refusal.to_string(),
                "supported_architectures": Arch::supported(),
                "info": info,
            }))
        }
        _ => Err(refusal),
    }
}

/// A config.json alone: what it describes, and whether that architecture runs.
async fn inspect_config(files: &dyn Files, name: &str) -> Result<Value> {
    let bytes = read_whole(files, name, MAX_CONFIG_BYTES).await?;
    let bytes = bytes.ok_or_else(|| Error::DownloadFailed(format!("{name} cannot be opened; check the path")))?;
    let info = ArchInfo::from_config(&parse_json(name, &bytes)?)?;
    let refusal = supported(&info).err();
    Ok(json!({
        "supported": refusal.is_none(),
        "code": refusal.as_ref().map(Error::code),
        "reason": refusal.as_ref().map(Error::to_string),
        "supported_architectures": Arch::supported(),
        // The only facts there are: they are printed for a supported architecture, too.
        "config": info,
    }))
}

/// The limits of one device, and whether the model's weights fit them.
pub async fn fits(files: &dyn Files, adapter: &str, caps: Caps) -> Result<Value> {
    let model = open(files).await?;
    let verdict = estimate(&model.spec, &model.tensors, caps);
    Ok(json!({
        "adapter": adapter,
        "tier": caps.tier().name(),
        "max_buffer_bytes": caps.max_buffer_bytes,
        "max_binding_bytes": caps.max_binding_bytes,
        "fits_limits": verdict.is_ok(),
        "reason": verdict.err().map(|e| e.to_string()),
    }))
}

fn report(model: &ModelFiles, weights: &Weights, gpu_bytes: u64) -> Value {
    let mut layouts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for m in weights.matrices() {
        let entry = layouts.entry(m.layout.name()).or_default();
        *entry = (entry.0 + 1, entry.1 + m.bytes());
    }
    let kv: u64 = model.spec.attentions().map(|a| 2 * u64::from(a.kv_width())).sum();
    let text = &model.text;
    json!({
        "supported": true,
        "format": if model.info.gguf { "gguf" } else { "safetensors" },
        "name": text.gguf.as_ref().and_then(|m| m.str("general.name")),
        "spec": spec(&model.spec, weights),
        "parameters": model.tensors.tensors.iter().map(|t| t.rows() * t.cols()).sum::<u64>(),
        "file_bytes": model.tensors.sources.iter().map(|s| s.len()).sum::<u64>(),
        "tensors": by_dtype(&model.tensors),
        "layouts": layouts
            .into_iter()
            .map(|(name, (matrices, bytes))| json!({"layout": name, "matrices": matrices, "bytes": bytes}))
            .collect::<Vec<_>>(),
        "weight_bytes": gpu_bytes,
        "weight_bytes_per_token": weights.bytes_per_token(),
        "kv_bytes_per_token_f16": kv * 2,
        "kv_bytes_per_token_f32": kv * 4,
        "tokenizer": text.tokenizer_json.is_some()
            || text.gguf.as_ref().is_some_and(|m| m.strings("tokenizer.ggml.tokens").is_some()),
        "chat_template": chat_template(&model.text),
        "eos_ids": model.eos_ids,
        "generation": model.generation,
        "info": model.info,
    })
}

fn chat_template(files: &TextFiles) -> bool {
    [false, true].iter().any(|tools| {
        let (jinja, config) = (files.chat_template_jinja.as_deref(), files.tokenizer_config.as_ref());
        crate::text::chat::find(jinja, config, files.gguf.as_ref(), *tools).is_some()
    })
}

fn by_dtype(tensors: &TensorFile) -> Value {
    let mut out: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for t in &tensors.tensors {
        let entry = out.entry(t.dtype.name()).or_default();
        *entry = (entry.0 + 1, entry.1 + t.bytes);
    }
    out.into_iter().map(|(name, (n, bytes))| json!({"type": name, "tensors": n, "bytes": bytes})).collect()
}

/// One value when all layers agree, else one per layer.
fn per_layer<T: PartialEq + serde::Serialize>(values: impl Iterator<Item = T>) -> Value {
    let values: Vec<T> = values.collect();
    match values.first() {
        Some(first) if values.iter().all(|v| v == first) => json!(first),
        _ => json!(values),
    }
}

fn spec(s: &ModelSpec, weights: &Weights) -> Value {
    fn attention<T: PartialEq + serde::Serialize>(s: &ModelSpec, of: impl Fn(&Attention) -> T) -> Value {
        per_layer(s.attentions().map(of))
    }
    let norms = |l: &LayerSpec| {
        let n = l.norms;
        let all =
            [(n.before_mixer, "attn"), (n.after_mixer, "attn_post"), (n.before_ffn, "ffn"), (n.after_ffn, "ffn_post")];
        all.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    };
    json!({
        "architecture": s.arch,
        "n_layers": s.layers.len(),
        "d_model": s.d_model,
        "n_heads": attention(s, |a| a.n_heads),
        "n_kv_heads": attention(s, |a| a.n_kv_heads),
        "head_dim": attention(s, |a| a.head_dim),
        "d_ff": per_layer(s.layers.iter().map(LayerSpec::d_ff)),
        "window": attention(s, |a| a.window),
        "activation": per_layer(s.layers.iter().map(|l| format!("{:?}", l.activation()))),
        "norms": per_layer(s.layers.iter().map(norms)),
        "qk_norm": attention(s, |a| a.qk_norm),
        "qkv_bias": per_layer(
            weights.layers.iter().filter_map(|l| Some(l.attention()?.qkv.iter().any(|p| p.bias.is_some()))),
        ),
        "vocab_size": s.vocab_size,
        "context_length": s.context_length,
        // Through its shortest text: 1e-6, not 9.99999997e-7.
        "rms_norm_eps": s.rms_norm_eps.to_string().parse::<f64>().ok(),
        "tied_embeddings": s.tied_embeddings,
        "embedding_scale": s.embedding_scale,
        "rope": match s.ropes.as_slice() {
            [one] => rope(one),
            several => several.iter().map(rope).collect(),
        },
    })
}

fn rope(rope: &RopeSpec) -> Value {
    json!({
        "n_rot": rope.n_rot,
        "theta": rope.theta,
        "scaling": match &rope.scaling {
            RopeScaling::None => json!("none"),
            RopeScaling::Linear { factor } => json!({"linear": factor}),
            RopeScaling::Llama3 { factor, low, high, original } => {
                json!({"llama3": {"factor": factor, "low": low, "high": high, "original": original}})
            }
            RopeScaling::Yarn { factor, fast, slow, original, magnitude, .. } => {
                json!({"yarn": {"factor": factor, "fast": fast, "slow": slow, "original": original, "magnitude": magnitude}})
            }
            RopeScaling::Factors(_) => json!("factors from the file"),
        },
    })
}

/// The same for people: one fact per line.
pub fn text(report: &Value) -> String {
    let mut report = report.clone();
    // What the metadata says is all there is for a model that cannot run; of others the spec says it better.
    if let (Some(true), Some(map)) = (report["supported"].as_bool(), report.as_object_mut()) {
        map.remove("info");
    }
    let mut out = String::new();
    lines(&mut out, &report, "", 0);
    out
}

fn lines(out: &mut String, value: &Value, key: &str, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Null => {}
        Value::Object(map) if map.values().all(Value::is_null) => {}
        Value::Object(map) => {
            let depth = if key.is_empty() { depth } else { depth + 1 };
            if !key.is_empty() {
                *out += &format!("{indent}{key}\n");
            }
            for (k, v) in map {
                lines(out, v, k, depth);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            *out += &format!("{indent}{key}\n");
            for v in list.iter().filter_map(Value::as_object) {
                let facts: Vec<String> = v.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| plain(k, v)).collect();
                *out += &format!("{indent}  {}\n", facts.join("  "));
            }
        }
        Value::Array(list) if list.is_empty() => {}
        Value::Array(list) => {
            let facts: Vec<String> = list.iter().map(|v| plain("", v)).collect();
            *out += &format!("{indent}{key}: {}\n", facts.join(" "));
        }
        v => *out += &format!("{indent}{}\n", plain(&format!("{key}:"), v)),
    }
}

fn plain(key: &str, value: &Value) -> String {
    let text = match value {
        Value::String(s) => s.clone(),
        Value::Number(n) if key.contains("bytes") => n.as_u64().map_or(n.to_string(), bytes),
        v => v.to_string(),
    };
    format!("{key} {text}").trim_start().to_string()
}

fn bytes(n: u64) -> String {
    const UNITS: [(&str, f64); 3] = [("GiB", 1073741824.0), ("MiB", 1048576.0), ("KiB", 1024.0)];
    match UNITS.iter().find(|(_, size)| n as f64 >= *size) {
        Some((unit, size)) => format!("{n} ({:.2} {unit})", n as f64 / size),
        None => n.to_string(),
    }
}
