//! A model as plain data. Architectures differ only in these values.

use crate::kernels::Activation;

/// Rotary embedding of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeSpec {
    /// Rotated dimensions of each head (the first `n_rot`), a multiple of 2. 0 = no rope.
    pub n_rot: u32,
    /// Base (theta).
    pub theta: f64,
    /// Frequency scaling.
    pub scaling: RopeScaling,
}

/// Frequency scaling of a rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// inv_i = theta^(-2i/n_rot)
    None,
    /// inv_i / factor
    Linear {
        /// Divisor.
        factor: f64,
    },
    /// Llama 3.x: low frequencies divided, high ones kept, between them a ramp.
    Llama3 {
        /// Divisor of low frequencies.
        factor: f64,
        /// low_freq_factor
        low: f64,
        /// high_freq_factor
        high: f64,
        /// original_max_position_embeddings
        original: f64,
    },
    /// inv_i / factors[i], from the GGUF tensor `rope_freqs.weight` (filled when that tensor is read).
    Factors(Vec<f32>),
}

/// One layer. Dimensions may differ by layer (structurally pruned checkpoints).
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// Query heads.
    pub n_heads: u32,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: u32,
    /// Dimensions of a head.
    pub head_dim: u32,
    /// Neurons of the FFN.
    pub d_ff: u32,
    /// Key j is visible from i iff i - window < j <= i; None = all.
    pub window: Option<u32>,
    /// Softmax scale.
    pub attention_scale: f32,
    /// Biases on q, k and v.
    pub qkv_bias: bool,
    /// Bias on the output projection.
    pub o_bias: bool,
    /// Biases on gate, up and down.
    pub mlp_bias: bool,
    /// Activation of the gate.
    pub activation: Activation,
}

/// The whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Row of `archs` (`llama`, ...).
    pub arch: &'static str,
    /// Residual width.
    pub d_model: u32,
    /// Rows of the embedding table.
    pub vocab_size: u32,
    /// Longest context the model was made for.
    pub context_length: u32,
    /// Epsilon of every RMSNorm.
    pub rms_norm_eps: f32,
    /// Rotary embedding.
    pub rope: RopeSpec,
    /// The output matrix is the embedding table.
    pub tied_embeddings: bool,
    /// Layers in order.
    pub layers: Vec<LayerSpec>,
}
