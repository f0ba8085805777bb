//! The architectures that run: one row each. What differs between them is data here or in `ModelSpec`.

use super::spec::Norms;
use super::tensors::{Dialect, GEMMA_NORMS, LLAMA_NORMS, PROJECTIONS, QK_NORMS, Role, TOP, Wanted};

/// Which attention layers have the window that a file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// config.json's is ignored, as the reference code does; a GGUF's counts.
    GgufOnly,
    /// Every layer whose type is not `full_attention`.
    All,
    /// As `All`, but only where config.json says `use_sliding_window`.
    Asked,
    /// By layer type, else every n-th layer is full (`sliding_window_pattern`, of which this is the default).
    Pattern(u32),
}

/// A row of the table.
#[derive(Debug, PartialEq)]
pub struct Arch {
    /// `ModelSpec::arch`.
    pub name: &'static str,
    /// `model_type` in config.json.
    pub model_types: &'static [&'static str],
    /// `general.architecture` in a GGUF.
    pub gguf: &'static [&'static str],
    /// The tensors: groups of [`Wanted`].
    pub tensors: &'static [&'static [Wanted]],
    /// The GGUF converter reorders the rows of q and k so that rotary pairs are adjacent (weights.md A1.5). We put
    /// them back while loading: kernels know pairs (i, i + n_rot/2) only.
    pub gguf_permuted: bool,
    /// Sliding windows.
    pub windows: Windows,
    /// safetensors hold w of norms that multiply by 1 + w (a GGUF holds 1 + w itself); folded while loading.
    pub norm_plus_one: bool,
    /// Embedded tokens are multiplied by sqrt(d_model).
    pub scaled_embeddings: bool,
    /// Base of the rotary embedding of window layers, when the file names only that of full ones.
    pub window_rope_theta: Option<f64>,
    /// The number of layers of that size whose softmax scale is (d_model / n_heads)^-1/2, which a GGUF does not say.
    pub scale_by_width_layers: Option<u32>,
    /// Activation when the file names none.
    pub activation: &'static str,
    /// Longest context when config.json names none: the default of the class in transformers.
    pub context_length: u32,
}

const LLAMA: Arch = Arch {
    name: "llama",
    model_types: &["llama"],
    gguf: &["llama"],
    tensors: &[TOP, LLAMA_NORMS, PROJECTIONS],
    gguf_permuted: true,
    windows: Windows::GgufOnly,
    norm_plus_one: false,
    scaled_embeddings: false,
    window_rope_theta: None,
    scale_by_width_layers: None,
    activation: "silu",
    context_length: 2048,
};

/// All rows.
pub static ALL: &[Arch] = &[
    LLAMA,
    Arch {
        name: "mistral",
        model_types: &["mistral"],
        gguf: &[],
        windows: Windows::All,
        context_length: 131072,
        ..LLAMA
    },
    Arch {
        name: "qwen2",
        model_types: &["qwen2"],
        gguf: &["qwen2"],
        gguf_permuted: false,
        windows: Windows::Asked,
        context_length: 32768,
        ..LLAMA
    },
    Arch {
        name: "qwen3",
        model_types: &["qwen3"],
        gguf: &["qwen3"],
        tensors: &[TOP, LLAMA_NORMS, PROJECTIONS, QK_NORMS],
        gguf_permuted: false,
        windows: Windows::Asked,
        context_length: 32768,
        ..LLAMA
    },
    Arch {
        name: "gemma3",
        model_types: &["gemma3_text"],
        gguf: &["gemma3"],
        tensors: &[TOP, GEMMA_NORMS, PROJECTIONS, QK_NORMS],
        gguf_permuted: false,
        windows: Windows::Pattern(6),
        norm_plus_one: true,
        scaled_embeddings: true,
        window_rope_theta: Some(10000.0),
        scale_by_width_layers: Some(62), // Gemma 3 27B
        activation: "gelu_pytorch_tanh",
        context_length: 131072,
    },
];

impl Arch {
    /// The row for a `model_type` of config.json.
    pub fn by_model_type(model_type: &str) -> Option<&'static Arch> {
        ALL.iter().find(|a| a.model_types.contains(&model_type))
    }
    /// The row for a `general.architecture` of a GGUF.
    pub fn by_gguf(name: &str) -> Option<&'static Arch> {
        ALL.iter().find(|a| a.gguf.contains(&name))
    }
    /// The row of a `ModelSpec`.
    pub fn by_name(name: &str) -> Option<&'static Arch> {
        ALL.iter().find(|a| a.name == name)
    }
    /// Names of all rows, for messages.
    pub fn supported() -> String {
        ALL.iter().map(|a| a.name).collect::<Vec<_>>().join(", ")
    }
    /// All tensors this architecture may have.
    pub fn wanted(&self) -> impl Iterator<Item = &'static Wanted> {
        self.tensors.iter().flat_map(|group| group.iter())
    }
    /// The tensor of a role.
    pub fn tensor(&self, role: Role) -> Option<&'static Wanted> {
        self.wanted().find(|w| w.role == role)
    }
    /// Whether it computes with a tensor of this name: a weight or a bias of any layer.
    pub fn reads(&self, name: &str, dialect: Dialect) -> bool {
        let Some(stem) = name.strip_suffix(".weight").or(name.strip_suffix(".bias")) else { return false };
        let layer = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let parts: Vec<&str> = stem.split('.').map(|part| if layer(part) { "{}" } else { part }).collect();
        let pattern = parts.join(".");
        self.wanted().any(|w| pattern == if dialect == Dialect::Gguf { w.gguf } else { w.hf })
    }
    /// The norms of its layers: those whose tensors it wants.
    pub fn norms(&self) -> Norms {
        let has = |role| self.tensor(role).is_some();
        Norms {
            before_mixer: has(Role::MixerNorm),
            after_mixer: has(Role::MixerPostNorm),
            before_ffn: has(Role::FfnNorm),
            after_ffn: has(Role::FfnPostNorm),
        }
    }
    /// What norms add to their weights in this dialect.
    pub fn norm_offset(&self, dialect: Dialect) -> f32 {
        if self.norm_plus_one && dialect == Dialect::HuggingFace { 1.0 } else { 0.0 }
    }
}
