//! [`ArchInfo`] + tensor shapes -> [`ModelSpec`]. Dimensions that may differ by layer come from the tensors; what the
//! whole model shares comes from the metadata, and a tensor that disagrees with it is an error.

mod dims;
mod rope;

use super::archs::{Arch, Windows};
use super::config::ArchInfo;
use super::spec::{Attention, DenseFfn, Ffn, LayerSpec, Mixer, ModelSpec};
use super::tensors::{Dialect, Index, Role};
use crate::error::{Error, Result};
use crate::formats::{TensorFile, UnreadTensor};
use crate::kernels::Activation;
use dims::Shapes;
use rope::Ropes;

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
    if let Some(option) = info.unsupported_options.first() {
        return unsupported(format!("this {} has {option}, which is not supported yet", info.model_type));
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
    let scale = info.attention_scale.unwrap_or_else(|| {
        let by_width = info.gguf && arch.scale_by_width_layers == Some(n_layers);
        let n_heads = info.n_heads.as_ref().and_then(|n| n.at(0)).filter(|_| by_width);
        1.0 / n_heads.map_or(f64::from(head_dim), |n| f64::from(d_model) / f64::from(n)).sqrt()
    }) as f32;
    if !(scale.is_finite() && scale > 0.0) {
        return Err(Error::BadFile(format!("the attention scale is {scale}, expected a positive number")));
    }
    let weights = tensors.weights();
    let dialect = Dialect::of(tensors);
    if let Some(t) = tensors.unread.iter().find(|t| arch.reads(&t.name, dialect)) {
        let UnreadTensor { name, dtype, shape } = t;
        return Err(Error::UnsupportedFormat(format!(
            "{name} has type {dtype} and shape {shape:?}; weights of type F32, F16 and BF16, with elements, are \
             supported: save the model again in one of these types, or use a GGUF of it"
        ))
        .with("tensor", name.as_str()));
    }
    let shapes = Shapes { index: Index::new(&weights), arch, dialect, info, d_model, head_dim };
    let (vocab_size, tied_embeddings) = shapes.embeddings()?;
    let mut ropes = Ropes::new(info, arch, head_dim, context_length, rope_factors);
    let activation = activation(info, arch)?;
    let layers = (0..n_layers as usize)
        .map(|i| {
            let sizes = shapes.layer(i)?;
            let kind = layer_type(info, arch, i)?;
            Ok(LayerSpec {
                norms: arch.norms(),
                mixer: Mixer::Attention(Attention {
                    n_heads: sizes.n_heads,
                    n_kv_heads: sizes.n_kv_heads,
                    head_dim,
                    scale,
                    window: if kind.windowed { info.window } else { None },
                    rope: ropes.index_of(kind.name)?,
                    qk_norm: arch.tensor(Role::QNorm).is_some(),
                }),
                ffn: Ffn::Dense(DenseFfn { d_ff: sizes.d_ff, activation }),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let embedding_scale = if arch.scaled_embeddings { f64::from(d_model).sqrt() as f32 } else { 1.0 };
    Ok(ModelSpec {
        arch: arch.name,
        d_model,
        vocab_size,
        context_length,
        rms_norm_eps: eps as f32,
        ropes: ropes.specs,
        embedding_scale,
        tied_embeddings,
        layers,
    })
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

fn activation(info: &ArchInfo, arch: &Arch) -> Result<Activation> {
    match info.hidden_act.as_deref().unwrap_or(arch.activation) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(Error::UnsupportedModel(format!(
            "activation {other} is not supported yet (supported: silu, gelu_pytorch_tanh, relu)"
        ))),
    }
}

/// The type of a layer and whether its attention has the window.
struct LayerType {
    name: &'static str,
    windowed: bool,
}

/// Names of layer types in config.json.
const WINDOW_LAYER: &str = "sliding_attention";
/// See [`WINDOW_LAYER`].
const FULL_LAYER: &str = "full_attention";

fn layer_type(info: &ArchInfo, arch: &Arch, layer: usize) -> Result<LayerType> {
    let windowed = |windowed| LayerType { name: if windowed { WINDOW_LAYER } else { FULL_LAYER }, windowed };
    let obeyed = info.gguf || arch.windows != Windows::GgufOnly;
    match info.layer_types.get(layer).map(String::as_str) {
        Some(WINDOW_LAYER) => Ok(LayerType { name: WINDOW_LAYER, windowed: obeyed }),
        Some(FULL_LAYER) => Ok(windowed(false)),
        Some(other) => Err(Error::UnsupportedModel(format!("layers of type {other} are not supported yet"))),
        None => Ok(windowed(match arch.windows {
            Windows::Pattern(default) => {
                let pattern = info.window_pattern.unwrap_or(default) as usize;
                pattern == 0 || layer % pattern < pattern - 1
            }
            Windows::All | Windows::Asked | Windows::GgufOnly => obeyed && info.window.is_some(),
        })),
    }
}
