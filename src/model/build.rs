//! [`ArchInfo`] + tensor shapes -> [`ModelSpec`]. Dimensions that may differ by layer come from the tensors; what the
//! whole model shares comes from the metadata, and a tensor that disagrees with it is an error.

use super::archs::{Arch, Dialect, Index, Names, ROPE_FREQS, tensor_name};
use super::config::{ArchInfo, RopeInfo};
use super::rope::inverse_frequencies;
use super::spec::{LayerSpec, ModelSpec, RopeScaling, RopeSpec};
use crate::error::{Error, Result};
use crate::formats::{TensorFile, Weight};
use crate::kernels::Activation;

/// Most layers.
pub const MAX_LAYERS: u32 = 1024;
/// Largest residual width.
pub const MAX_D_MODEL: u32 = 1 << 16;
/// Most neurons of an FFN: gate and up together must fit the rows of one dispatch.
pub const MAX_D_FF: u32 = 1 << 19;
/// Largest vocabulary.
pub const MAX_VOCAB: u32 = 1 << 22;
/// Largest head; the attention kernels keep a head in workgroup memory.
pub const MAX_HEAD_DIM: u32 = 256;
/// Most query heads.
pub const MAX_HEADS: u32 = 1024;

/// The row of a model's architecture, or an error that says why it does not run yet.
pub fn supported(info: &ArchInfo) -> Result<&'static Arch> {
    let unsupported = |text: String| Err(Error::UnsupportedModel(text));
    let Some(arch) = info.arch else {
        return unsupported(format!(
            "architecture {} is not supported yet; supported: {}",
            info.model_type,
            Arch::supported()
        ));
    };
    if let Some(method) = &info.quantization {
        return Err(Error::UnsupportedFormat(format!(
            "checkpoints quantised with {method} are not supported yet: use the original weights or a GGUF of the model"
        )));
    }
    if let Some(method) = &info.activation_sparsity {
        return unsupported(format!("activation_sparsity {method} in config.json is not supported yet"));
    }
    if info.n_experts > 0 && info.gguf {
        return unsupported(format!(
            "mixtures of experts are not supported yet; this {} has {} experts",
            info.model_type, info.n_experts
        ));
    }
    Ok(arch)
}

/// Makes the spec. `rope_factors` are the values of the tensor `rope_freqs.weight`, when the file has it.
pub fn build(info: &ArchInfo, tensors: &TensorFile, rope_factors: Option<Vec<f32>>) -> Result<ModelSpec> {
    let arch = supported(info)?;
    let d_model = in_fours("a residual width", bounded("the residual width", info.d_model, MAX_D_MODEL)?)?;
    let n_layers = bounded("the number of layers", info.n_layers, MAX_LAYERS)?;
    let head_dim = head_dim(info, d_model)?;
    let context_length = bounded("the context length", info.context_length, u32::MAX)?;
    let eps = info.norm_eps.unwrap_or(1e-6);
    if !(0.0..1.0).contains(&eps) {
        return Err(Error::BadFile(format!("the epsilon of the norms is {eps}, expected a small positive number")));
    }
    let weights = tensors.weights();
    let shapes = Shapes { index: Index::new(&weights), names: arch.names(Dialect::of(tensors)), d_model, head_dim };
    let (vocab_size, tied_embeddings) = shapes.embeddings(info)?;
    let rope = rope(info, head_dim, context_length, rope_factors)?;
    if info.gguf && arch.gguf_permuted && rope.n_rot != head_dim {
        return Err(Error::UnsupportedModel(format!(
            "a GGUF of {} that rotates {} of {head_dim} dimensions per head is not supported: expected all of them",
            arch.name, rope.n_rot
        )));
    }
    let activation = activation(info)?;
    let scale = info.attention_scale.unwrap_or_else(|| 1.0 / f64::from(head_dim).sqrt()) as f32;
    if !(scale.is_finite() && scale > 0.0) {
        return Err(Error::BadFile(format!("the attention scale is {scale}, expected a positive number")));
    }
    shapes.vector(&shapes.weight(shapes.names.final_norm, 0))?;
    let layers = (0..n_layers as usize)
        .map(|i| {
            let sizes = shapes.layer(info, i)?;
            let bias = |names: &[&str]| names.iter().any(|n| shapes.index.get(&tensor_name(n, i, "bias")).is_some());
            let names = shapes.names;
            let qkv_bias = bias(&[names.q, names.k, names.v]) || names.qkv.is_some_and(|n| bias(&[n]));
            let mlp_bias = bias(&[names.gate, names.up, names.down]);
            if info.attention_bias == Some(true) && !qkv_bias {
                return Err(declared("attention_bias", &tensor_name(names.q, i, "bias")));
            }
            if info.mlp_bias == Some(true) && !mlp_bias {
                return Err(declared("mlp_bias", &tensor_name(names.gate, i, "bias")));
            }
            Ok(LayerSpec {
                n_heads: sizes.n_heads,
                n_kv_heads: sizes.n_kv_heads,
                head_dim,
                d_ff: sizes.d_ff,
                window: window(info, arch, i)?,
                attention_scale: scale,
                qkv_bias,
                o_bias: bias(&[names.o]),
                mlp_bias,
                activation,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let rms_norm_eps = eps as f32;
    Ok(ModelSpec { arch: arch.name, d_model, vocab_size, context_length, rms_norm_eps, rope, tied_embeddings, layers })
}

fn declared(key: &str, tensor: &str) -> Error {
    Error::MissingTensor(format!(
        "config.json says {key}, but the model has no tensor {tensor}: the file is incomplete"
    ))
}

fn bounded(what: &str, value: Option<u32>, max: u32) -> Result<u32> {
    match value {
        Some(n) if (1..=max).contains(&n) => Ok(n),
        Some(n) => Err(Error::BadFile(format!("{what} is {n} according to the metadata, expected 1 to {max}"))),
        None => Err(Error::BadFile(format!("the metadata does not say {what}: the file is incomplete"))),
    }
}

/// Kernels read and write activations four at a time.
fn in_fours(what: &str, n: u32) -> Result<u32> {
    if n.is_multiple_of(4) {
        return Ok(n);
    }
    Err(Error::UnsupportedModel(format!("{what} of {n} is not supported: expected a multiple of 4")))
}

fn head_dim(info: &ArchInfo, d_model: u32) -> Result<u32> {
    let n = match info.head_dim {
        Some(n) => n,
        None => {
            let n_heads = bounded("the number of heads", info.n_heads.as_ref().and_then(|n| n.at(0)), MAX_HEADS)?;
            if !d_model.is_multiple_of(n_heads) {
                return Err(Error::BadFile(format!(
                    "the residual width {d_model} is not a multiple of {n_heads} heads, and no head_dim is given"
                )));
            }
            d_model / n_heads
        }
    };
    if n == 0 || !n.is_multiple_of(4) || n > MAX_HEAD_DIM {
        return Err(Error::UnsupportedModel(format!(
            "heads of {n} dimensions are not supported: expected a multiple of 4 up to {MAX_HEAD_DIM}"
        )));
    }
    Ok(n)
}

fn activation(info: &ArchInfo) -> Result<Activation> {
    match info.hidden_act.as_deref() {
        None | Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu_pytorch_tanh" | "gelu_new") => Ok(Activation::GeluTanh),
        Some("relu") => Ok(Activation::Relu),
        Some(other) => Err(Error::UnsupportedModel(format!(
            "activation {other} is not supported yet (supported: silu, gelu_pytorch_tanh, relu)"
        ))),
    }
}

fn window(info: &ArchInfo, arch: &Arch, layer: usize) -> Result<Option<u32>> {
    let window = info.window.filter(|_| arch.window || info.gguf);
    match info.layer_types.get(layer).map(String::as_str) {
        None | Some("sliding_attention") => Ok(window),
        Some("full_attention") => Ok(None),
        Some(other) => Err(Error::UnsupportedModel(format!("layers of type {other} are not supported yet"))),
    }
}

fn rope(info: &ArchInfo, head_dim: u32, context_length: u32, factors: Option<Vec<f32>>) -> Result<RopeSpec> {
    let default = RopeInfo { kind: "default".into(), ..RopeInfo::default() };
    let first = info.ropes.first().unwrap_or(&default);
    let same =
        |r: &RopeInfo| RopeInfo { layer_type: None, ..r.clone() } == RopeInfo { layer_type: None, ..first.clone() };
    if !info.ropes.iter().all(same) {
        return Err(Error::UnsupportedModel("rotary embeddings that differ by layer are not supported yet".into()));
    }
    let theta = first.theta.unwrap_or(10000.0);
    if !(theta.is_finite() && theta > 0.0) {
        return Err(Error::BadFile(format!("rope theta is {theta}, expected a positive number")));
    }
    let partial = first.partial.unwrap_or(1.0);
    if !(partial > 0.0 && partial <= 1.0) {
        return Err(Error::BadFile(format!("partial_rotary_factor is {partial}, expected a number in (0, 1]")));
    }
    let n_rot = info.n_rot.unwrap_or((f64::from(head_dim) * partial) as u32);
    if !n_rot.is_multiple_of(2) || n_rot > head_dim {
        return Err(Error::BadFile(format!(
            "{n_rot} rotated dimensions in heads of {head_dim}: expected an even number up to the head's"
        )));
    }
    let mut scaling = first.scaling(context_length)?;
    if let Some(mut factors) = factors {
        if factors.len() != (n_rot / 2) as usize || !factors.iter().all(|f| f.is_finite() && *f > 0.0) {
            return Err(Error::BadFile(format!(
                "{ROPE_FREQS} has {} factors, expected {} positive ones (one per rotated pair)",
                factors.len(),
                n_rot / 2
            )));
        }
        if let RopeScaling::Linear { factor } = scaling {
            factors.iter_mut().for_each(|f| *f *= factor as f32);
        }
        scaling = RopeScaling::Factors(factors);
    }
    let rope = RopeSpec { n_rot, theta, scaling };
    // A base or factor far from what models have would fill the table of angles with NaN.
    if !inverse_frequencies(&rope).iter().all(|f| (f * context_length as f32).is_finite()) {
        return Err(Error::BadFile(format!(
            "rope theta {theta} and its scaling give angles beyond what f32 holds: expected a theta of about 1e4 to 1e8"
        )));
    }
    Ok(rope)
}

/// Sizes of one layer as its tensors have them.
struct Sizes {
    n_heads: u32,
    n_kv_heads: u32,
    d_ff: u32,
}

/// Checks tensor shapes against what the whole model shares.
struct Shapes<'a> {
    index: Index<'a>,
    names: &'static Names,
    d_model: u32,
    head_dim: u32,
}

impl<'a> Shapes<'a> {
    fn weight(&self, pattern: &str, layer: usize) -> String {
        tensor_name(pattern, layer, "weight")
    }

    fn vector(&self, name: &str) -> Result<()> {
        let t = self.index.need(name)?;
        if t.shape != [u64::from(self.d_model)] {
            Err(self.mismatch(t, &format!("[{}]", self.d_model)))
        } else {
            Ok(())
        }
    }

    fn mismatch(&self, t: &Weight, expected: &str) -> Error {
        Error::BadFile(format!(
            "{} has shape {:?}, expected {expected}, since the metadata says a residual width of {} and heads of {} \
             dimensions: metadata and weights do not belong together",
            t.name, t.shape, self.d_model, self.head_dim
        ))
    }

    /// Rows of a matrix with `cols` columns.
    fn rows(&self, name: &str, cols: u64) -> Result<u64> {
        let t = self.index.need(name)?;
        match t.shape[..] {
            [rows, c] if c == cols && rows > 0 => Ok(rows),
            _ => Err(self.mismatch(t, &format!("[rows, {cols}]"))),
        }
    }

    /// Requires a matrix `[d_model, cols]`.
    fn residual_rows(&self, name: &str, cols: u64) -> Result<()> {
        let t = self.index.need(name)?;
        let expected = [u64::from(self.d_model), cols];
        if t.shape != expected { Err(self.mismatch(t, &format!("{expected:?}"))) } else { Ok(()) }
    }

    /// Vocabulary and whether one matrix serves as embedding and output.
    fn embeddings(&self, info: &ArchInfo) -> Result<(u32, bool)> {
        let d_model = u64::from(self.d_model);
        let (embed, output) = (self.weight(self.names.embed, 0), self.weight(self.names.output, 0));
        let (has_embed, has_output) = (self.index.get(&embed).is_some(), self.index.get(&output).is_some());
        // Only a config.json can say that they are two: then both must be there.
        if info.tied_embeddings == Some(false) {
            self.index.need(&embed)?;
            self.index.need(&output)?;
        }
        let name = if has_embed { &embed } else { &output };
        self.index.need(if has_embed || has_output { name } else { &embed })?;
        let rows = self.rows(name, d_model)?;
        let tied = info.tied_embeddings.unwrap_or(false) || !has_embed || !has_output;
        if has_embed && has_output && self.rows(&output, d_model)? != rows {
            return Err(Error::BadFile(format!("{embed} and {output} have different numbers of rows")));
        }
        let vocab = bounded("the vocabulary size", u32::try_from(rows).ok(), MAX_VOCAB)?;
        match info.vocab_size {
            Some(said) if said != vocab => Err(Error::BadFile(format!(
                "{name} has {vocab} rows, but the metadata says a vocabulary of {said} tokens: metadata and weights do \
                 not belong together"
            ))),
            _ => Ok((vocab, tied)),
        }
    }

    fn layer(&self, info: &ArchInfo, i: usize) -> Result<Sizes> {
        let d_model = u64::from(self.d_model);
        let heads = |name: &str, rows: u64| {
            let n = rows / u64::from(self.head_dim);
            if !rows.is_multiple_of(u64::from(self.head_dim)) || n == 0 || n > u64::from(MAX_HEADS) {
                return Err(Error::BadFile(format!(
                    "{name} has {rows} rows, expected 1 to {MAX_HEADS} heads of {} dimensions (head_dim in the metadata)",
                    self.head_dim
                )));
            }
            Ok(n as u32)
        };
        let fused = self.names.qkv.map(|n| self.weight(n, i)).filter(|n| self.index.get(n).is_some());
        let (n_heads, n_kv_heads) = if let Some(name) = fused {
            let all = heads(&name, self.rows(&name, d_model)?)?;
            let n_heads = bounded("the number of heads", info.n_heads.as_ref().and_then(|n| n.at(i)), MAX_HEADS)?;
            if all <= n_heads || !(all - n_heads).is_multiple_of(2) {
                return Err(Error::BadFile(format!(
                    "{name} has {all} heads of q, k and v, of which {n_heads} are q's"
                )));
            }
            (n_heads, (all - n_heads) / 2)
        } else {
            let [q, k, v] = [self.names.q, self.names.k, self.names.v].map(|n| self.weight(n, i));
            let n_kv_heads = heads(&k, self.rows(&k, d_model)?)?;
            if heads(&v, self.rows(&v, d_model)?)? != n_kv_heads {
                return Err(Error::BadFile(format!("{k} and {v} have different numbers of rows")));
            }
            (heads(&q, self.rows(&q, d_model)?)?, n_kv_heads)
        };
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(Error::BadFile(format!(
                "layer {i} has {n_heads} query heads and {n_kv_heads} key heads: expected a multiple of the key heads"
            )));
        }
        self.residual_rows(&self.weight(self.names.o, i), u64::from(n_heads) * u64::from(self.head_dim))?;
        let [gate, up] = [self.names.gate, self.names.up].map(|n| self.weight(n, i));
        let d_ff = self.rows(&gate, d_model)?;
        if self.rows(&up, d_model)? != d_ff {
            return Err(Error::BadFile(format!("{gate} and {up} have different numbers of rows")));
        }
        self.residual_rows(&self.weight(self.names.down, i), d_ff)?;
        self.vector(&self.weight(self.names.attn_norm, i))?;
        self.vector(&self.weight(self.names.ffn_norm, i))?;
        let d_ff = in_fours("an FFN", bounded("the FFN's width", u32::try_from(d_ff).ok(), MAX_D_FF)?)?;
        Ok(Sizes { n_heads, n_kv_heads, d_ff })
    }
}
