//! Models of real shapes with random weights, so that speed needs no download. They go through the same loader as
//! files: the bytes are made when they are read.

use lacewing::formats::source::{ByteSource, LocalFuture};
use lacewing::formats::{DType, TensorFile, TensorInfo};
use lacewing::kernels::Activation;
use lacewing::model::spec::{Attention, DenseFfn, Ffn, LayerSpec, Mixer, ModelSpec, Norms, RopeScaling, RopeSpec};
use lacewing::weights::random::Random;
use lacewing::{Error, Result};
use std::rc::Rc;

/// name, layers, d_model, d_ff, n_heads, n_kv_heads, head_dim, vocab_size, tied embeddings
pub type Shape = (&'static str, usize, u32, u32, u32, u32, u32, u32, bool);

/// Real shapes (their models' config.json).
pub const SHAPES: &[Shape] = &[
    ("tiny", 2, 256, 512, 4, 2, 64, 1024, true),
    ("smollm2-135m", 30, 576, 1536, 9, 3, 64, 49152, true),
    ("smollm2-360m", 32, 960, 2560, 15, 5, 64, 49152, true),
    ("qwen3-0.6b", 28, 1024, 3072, 16, 8, 128, 151_936, true),
    ("llama-1b", 16, 2048, 8192, 32, 8, 64, 128_256, true),
    ("llama-3b", 28, 3072, 8192, 24, 8, 128, 128_256, true),
    ("llama-8b", 32, 4096, 14336, 32, 8, 128, 128_256, false),
    ("minicpm-s-1b", 52, 1536, 3840, 24, 8, 64, 73440, true),
];

/// CLI name, file type, and the f16 fields of a block: byte offset and, in standard deviations of the weights, value.
pub type Kind = (&'static str, DType, &'static [(usize, f64)]);

/// Uniform codes of 4, 5, 6 and 8 bits have standard deviations of 4.6, 9.2, 18.5 and 73.9, the scales of K blocks a
/// root mean square of 36 (6 bits) and 73.9 (8 bits); offsets take the mean of the codes away.
pub const LAYOUTS: &[Kind] = &[
    ("f32", DType::F32, &[]),
    ("f16", DType::F16, &[]),
    ("bf16", DType::BF16, &[]),
    ("q4", DType::Q4_0, &[(0, 1.0 / 4.6)]),
    ("q4_1", DType::Q4_1, &[(0, 1.0 / 4.6), (2, -7.5 / 4.6)]),
    ("q5_0", DType::Q5_0, &[(0, 1.0 / 9.2)]),
    ("q5_1", DType::Q5_1, &[(0, 1.0 / 9.2), (2, -15.5 / 9.2)]),
    ("q8", DType::Q8_0, &[(0, 1.0 / 73.9)]),
    ("q4_k", DType::Q4_K, &[(0, 1.0 / (4.6 * 36.0)), (2, 1.0 / 36.0)]),
    ("q5_k", DType::Q5_K, &[(0, 1.0 / (9.2 * 36.0)), (2, 1.0 / 36.0)]),
    ("q6_k", DType::Q6_K, &[(208, 1.0 / (18.5 * 73.9))]),
];

/// A model from `SHAPE:LAYOUT`.
pub fn model(name: &str) -> Result<(ModelSpec, TensorFile)> {
    let (shape, layout) = name.split_once(':').unwrap_or((name, "q4"));
    let names = |list: Vec<&str>| list.join(", ");
    let shape = SHAPES.iter().find(|s| s.0 == shape).ok_or_else(|| {
        Error::BadRequest(format!("no shape {shape:?}; known: {}", names(SHAPES.iter().map(|s| s.0).collect())))
    })?;
    let kind = LAYOUTS.iter().find(|l| l.0 == layout).ok_or_else(|| {
        Error::BadRequest(format!("no layout {layout:?}; known: {}", names(LAYOUTS.iter().map(|l| l.0).collect())))
    })?;
    let dtype = kind.1;
    let &(_, n_layers, d_model, d_ff, n_heads, n_kv_heads, head_dim, vocab_size, tied) = shape;
    for cols in [d_model, n_heads * head_dim, d_ff] {
        if !u64::from(cols).is_multiple_of(dtype.block_elems()) {
            return Err(Error::BadRequest(format!(
                "{} needs rows that are a multiple of {} columns, and {} has one of {cols}: use q4 or q8",
                dtype.name(),
                dtype.block_elems(),
                shape.0
            )));
        }
    }
    let layer = LayerSpec {
        norms: Norms::PRE,
        mixer: Mixer::Attention(Attention {
            n_heads,
            n_kv_heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            window: None,
            rope: 0,
            qk_norm: false,
        }),
        ffn: Ffn::Dense(DenseFfn { d_ff, activation: Activation::Silu }),
    };
    let spec = ModelSpec {
        arch: "llama",
        d_model,
        vocab_size,
        context_length: 8192,
        rms_norm_eps: 1e-5,
        ropes: vec![RopeSpec { n_rot: head_dim, theta: 1e5, scaling: RopeScaling::None }],
        embedding_scale: 1.0,
        tied_embeddings: tied,
        layers: vec![layer; n_layers],
    };
    let mut made = Tensors { dtype, tensors: Vec::new(), ends: [0; 2] };
    made.matrix("model.embed_tokens.weight".into(), vocab_size, d_model);
    for i in 0..n_layers {
        let mut layer = |name: &str, rows, cols| made.matrix(format!("model.layers.{i}.{name}.weight"), rows, cols);
        layer("self_attn.q_proj", n_heads * head_dim, d_model);
        layer("self_attn.k_proj", n_kv_heads * head_dim, d_model);
        layer("self_attn.v_proj", n_kv_heads * head_dim, d_model);
        layer("self_attn.o_proj", d_model, n_heads * head_dim);
        layer("mlp.gate_proj", d_ff, d_model);
        layer("mlp.up_proj", d_ff, d_model);
        layer("mlp.down_proj", d_model, d_ff);
        made.vector(format!("model.layers.{i}.input_layernorm.weight"), d_model);
        made.vector(format!("model.layers.{i}.post_attention_layernorm.weight"), d_model);
    }
    made.vector("model.norm.weight".into(), d_model);
    if !tied {
        made.matrix("lm_head.weight".into(), vocab_size, d_model);
    }
    let [matrices, vectors] = made.ends;
    let sources: Vec<Rc<dyn ByteSource>> =
        vec![Rc::new(Blocks::new(kind, matrices, d_model)), Rc::new(Blocks::ones(vectors))];
    Ok((spec, TensorFile { sources, tensors: made.tensors, ..TensorFile::default() }))
}

struct Tensors {
    dtype: DType,
    tensors: Vec<TensorInfo>,
    /// Bytes so far in the source of matrices and in that of vectors.
    ends: [u64; 2],
}

impl Tensors {
    fn push(&mut self, name: String, dtype: DType, shape: Vec<u64>, source: usize) {
        let bytes = shape.iter().product::<u64>() / dtype.block_elems() * dtype.block_bytes();
        let offset = self.ends[source];
        self.ends[source] += bytes;
        self.tensors.push(TensorInfo { name, dtype, shape, source, offset, bytes });
    }
    fn matrix(&mut self, name: String, rows: u32, cols: u32) {
        self.push(name, self.dtype, vec![rows.into(), cols.into()], 0);
    }
    fn vector(&mut self, name: String, len: u32) {
        self.push(name, DType::F32, vec![len.into()], 1);
    }
}

/// Endless random blocks of one type: a prepared stretch, repeated. Its length in blocks is prime, so that rows differ.
struct Blocks {
    stretch: Vec<u8>,
    len: u64,
}

/// Blocks in the prepared stretch.
const STRETCH: usize = 4093;

impl Blocks {
    /// Weights of standard deviation about 1/sqrt(cols).
    fn new(&(_, dtype, fields): &Kind, len: u64, cols: u32) -> Blocks {
        let mut rng = Random::new(1);
        let std = 1.0 / f64::from(cols).sqrt();
        let mut stretch = Vec::new();
        for _ in 0..STRETCH {
            // Uniform in +-a has standard deviation a / sqrt(3).
            let value = rng.signed() * (std * 3f64.sqrt()) as f32;
            match dtype {
                DType::F32 => stretch.extend(value.to_le_bytes()),
                DType::F16 => stretch.extend(half::f16::from_f32(value).to_le_bytes()),
                DType::BF16 => stretch.extend(half::bf16::from_f32(value).to_le_bytes()),
                _ => {
                    let start = stretch.len();
                    stretch.extend((0..dtype.block_bytes()).map(|_| rng.next_u64() as u8));
                    for (at, value) in fields {
                        let field = half::f16::from_f64(std * value).to_le_bytes();
                        stretch[start + at..][..2].copy_from_slice(&field);
                    }
                }
            }
        }
        Blocks { stretch, len }
    }

    /// Norm weights: f32 ones.
    fn ones(len: u64) -> Blocks {
        Blocks { stretch: 1f32.to_le_bytes().to_vec(), len }
    }
}

impl ByteSource for Blocks {
    fn name(&self) -> &str {
        "synthetic weights"
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        let stretch = self.stretch.len() as u64;
        let mut bytes = Vec::with_capacity(len as usize);
        let mut at = (offset % stretch) as usize;
        while (bytes.len() as u64) < len {
            let take = (self.stretch.len() - at).min(len as usize - bytes.len());
            bytes.extend_from_slice(&self.stretch[at..at + take]);
            at = 0;
        }
        Box::pin(std::future::ready(Ok(bytes)))
    }
}
