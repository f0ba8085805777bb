//! A model as plain data. Architectures differ only in these values: a layer is composed of norms, a mixer and an FFN,
//! each of which may be of another kind in the next layer.

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
    /// YaRN: pairs that turn more than `fast` times within the original context are kept, those that turn less than
    /// `slow` times divided, between them a ramp over the pairs.
    Yarn {
        /// Divisor of low frequencies.
        factor: f64,
        /// beta_fast
        fast: f64,
        /// beta_slow
        slow: f64,
        /// original_max_position_embeddings
        original: f64,
        /// Whether the ends of the ramp are whole pairs.
        truncate: bool,
        /// Multiplies cos and sin (attention_factor).
        magnitude: f64,
    },
    /// inv_i / factors[i], from the GGUF tensor `rope_freqs.weight` (filled when that tensor is read).
    Factors(Vec<f32>),
}

/// Which RMSNorms a layer has. The residual stream x becomes
/// x += after_mixer(mixer(before_mixer(x))), then x += after_ffn(ffn(before_ffn(x))); an absent norm passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norms {
    /// Of the mixer's input.
    pub before_mixer: bool,
    /// Of the mixer's output.
    pub after_mixer: bool,
    /// Of the FFN's input.
    pub before_ffn: bool,
    /// Of the FFN's output.
    pub after_ffn: bool,
}

impl Norms {
    /// Before mixer and FFN (Llama).
    pub const PRE: Norms = Norms { before_mixer: true, after_mixer: false, before_ffn: true, after_ffn: false };
}

/// Softmax attention over the KV cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub n_heads: u32,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: u32,
    /// Dimensions of a head.
    pub head_dim: u32,
    /// Softmax scale.
    pub scale: f32,
    /// Key j is visible from i iff i - window < j <= i; None = all.
    pub window: Option<u32>,
    /// Index into [`ModelSpec::ropes`].
    pub rope: usize,
    /// RMSNorm of each query and key head before the rotation.
    pub qk_norm: bool,
}

impl Attention {
    /// Width of the queries.
    pub fn q_width(&self) -> u32 {
        self.n_heads * self.head_dim
    }
    /// Width of the keys, and of the values: a row of the KV cache.
    pub fn kv_width(&self) -> u32 {
        self.n_kv_heads * self.head_dim
    }
}

/// What mixes positions.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixer {
    /// Softmax attention.
    Attention(Attention),
}

/// down(activation(gate x) * up x)
#[derive(Debug, Clone, PartialEq)]
pub struct DenseFfn {
    /// Neurons.
    pub d_ff: u32,
    /// Of the gate.
    pub activation: Activation,
}

/// What works on each position alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Ffn {
    /// A gated FFN, all neurons of which are computed.
    Dense(DenseFfn),
}

/// One layer. Dimensions may differ by layer (structurally pruned checkpoints).
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// Which norms there are.
    pub norms: Norms,
    /// What mixes positions.
    pub mixer: Mixer,
    /// What works on each position.
    pub ffn: Ffn,
}

impl LayerSpec {
    /// The attention of this layer, when that is its mixer.
    pub fn attention(&self) -> Option<&Attention> {
        match &self.mixer {
            Mixer::Attention(attention) => Some(attention),
        }
    }
    /// Activation of the FFN.
    pub fn activation(&self) -> Activation {
        match &self.ffn {
            Ffn::Dense(ffn) => ffn.activation,
        }
    }
    /// Neurons of the FFN.
    pub fn d_ff(&self) -> u32 {
        match &self.ffn {
            Ffn::Dense(ffn) => ffn.d_ff,
        }
    }
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
    /// Rotary embeddings; layers name theirs by index.
    pub ropes: Vec<RopeSpec>,
    /// Factor of the embedded tokens (1 = none).
    pub embedding_scale: f32,
    /// The output matrix is the embedding table.
    pub tied_embeddings: bool,
    /// Layers in order.
    pub layers: Vec<LayerSpec>,
}

impl ModelSpec {
    /// The attentions of all layers that have one.
    pub fn attentions(&self) -> impl Iterator<Item = &Attention> {
        self.layers.iter().filter_map(LayerSpec::attention)
    }
}
