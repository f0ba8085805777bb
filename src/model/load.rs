//! Gives every tensor a place in device buffers ([`place`]); [`upload`] brings the bytes there.
//!
//! Two phases, so that plans and pipelines can be made before the weights have arrived.

mod attention;
mod ffn;

pub use attention::{AttentionWeights, MixerWeights, QkvPart};
pub use ffn::{DenseWeights, FfnWeights, GateUp};

pub use super::upload::{Target, Upload, read_bytes, upload};

use super::archs::Arch;
use super::placer::{Buffers, OnDevice, OnPaper, Placer, Rows, Vectors};
use super::spec::{LayerSpec, ModelSpec};
use super::tensors::{Dialect, Dim, Index, Role};
use crate::error::{Error, Result};
use crate::execute::Executor;
use crate::formats::TensorFile;
use crate::kernels::{Bind, Caps, Matrix};
use std::collections::HashSet;

/// A matrix and its bias (f32 `[rows]`).
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out, in]`
    pub matrix: Matrix,
    /// f32 `[out]`
    pub bias: Option<Bind>,
}

/// Weights of a layer's norms, f32 `[d_model]`; None = there is no such norm (see [`super::spec::Norms`]).
#[derive(Debug, Clone, Copy, Default)]
pub struct NormWeights {
    /// Of the mixer's input.
    pub before_mixer: Option<Bind>,
    /// Of the mixer's output.
    pub after_mixer: Option<Bind>,
    /// Of the FFN's input.
    pub before_ffn: Option<Bind>,
    /// Of the FFN's output.
    pub after_ffn: Option<Bind>,
}

/// Weights of one layer.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    /// Norms.
    pub norms: NormWeights,
    /// What mixes positions.
    pub mixer: MixerWeights,
    /// What works on each position.
    pub ffn: FfnWeights,
}

/// All weights.
#[derive(Debug, Clone)]
pub struct Weights {
    /// `[vocab_size, d_model]`
    pub embed: Matrix,
    /// `[vocab_size, d_model]`; None = the embedding table serves as output, too.
    pub output: Option<Matrix>,
    /// f32 `[d_model]`
    pub final_norm: Bind,
    /// Layers in order.
    pub layers: Vec<LayerWeights>,
}

/// Creates the buffers of all weights and lists the uploads that fill them. Every tensor must be claimed: a missing
/// one and one that nobody uses are `missing-tensor` errors; a wrong shape is `bad-file`. On an error all buffers
/// created here are destroyed.
pub fn place(spec: &ModelSpec, tensors: &TensorFile, executor: &mut dyn Executor) -> Result<(Weights, Vec<Upload>)> {
    let caps = executor.caps();
    place_in(spec, tensors, caps, &mut OnDevice(executor))
}

/// What [`place`] would do on a device of these capabilities, without a device: the same checks and errors. Returns
/// the weights (their buffers do not exist) and the bytes of all buffers.
pub fn estimate(spec: &ModelSpec, tensors: &TensorFile, caps: Caps) -> Result<(Weights, u64)> {
    let mut paper = OnPaper::default();
    let (weights, _) = place_in(spec, tensors, caps, &mut paper)?;
    Ok((weights, paper.bytes))
}

fn place_in(
    spec: &ModelSpec,
    tensors: &TensorFile,
    caps: Caps,
    buffers: &mut dyn Buffers,
) -> Result<(Weights, Vec<Upload>)> {
    let arch = Arch::by_name(spec.arch)
        .ok_or_else(|| Error::UnsupportedModel(format!("architecture {} is not supported", spec.arch)))?;
    let dialect = Dialect::of(tensors);
    let weights = tensors.weights();
    let mut placer = Placer {
        index: Index::new(&weights),
        arch,
        dialect,
        caps,
        buffers,
        claimed: HashSet::new(),
        created: Vec::new(),
        uploads: Vec::new(),
        no_meta: None,
    };
    let placed = placer.model(spec).and_then(|weights| {
        placer.all_claimed(spec)?;
        Ok(weights)
    });
    match placed {
        Ok(weights) => Ok((weights, placer.uploads)),
        Err(e) => {
            for id in placer.created {
                placer.buffers.destroy(id);
            }
            Err(e)
        }
    }
}

impl Weights {
    /// All matrices: the embedding table, the output when it is another, the layers' in order.
    pub fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let layers = self.layers.iter().flat_map(|l| l.matrices());
        std::iter::once(&self.embed).chain(&self.output).chain(layers)
    }

    /// Bytes of weights that decoding one token reads: every matrix, norm and bias once, of the embedding table one
    /// row (and all of it, where it is the output matrix, too).
    pub fn bytes_per_token(&self) -> u64 {
        let row = self.embed.layout.bytes(1, self.embed.cols);
        let output = self.output.as_ref().unwrap_or(&self.embed).bytes();
        let layers = self.layers.iter().map(|l| {
            let matrices: u64 = l.matrices().into_iter().map(Matrix::bytes).sum();
            matrices + l.vectors().iter().map(|b| b.bytes).sum::<u64>()
        });
        row + output + self.final_norm.bytes + layers.sum::<u64>()
    }
}

impl LayerWeights {
    /// Of an attention layer.
    pub fn attention(&self) -> Option<&AttentionWeights> {
        let MixerWeights::Attention(weights) = &self.mixer;
        Some(weights)
    }
    /// Of a dense FFN.
    pub fn dense_ffn(&self) -> Option<&DenseWeights> {
        let FfnWeights::Dense(weights) = &self.ffn;
        Some(weights)
    }
    /// All matrices.
    pub fn matrices(&self) -> Vec<&Matrix> {
        self.mixer.matrices().into_iter().chain(self.ffn.matrices()).collect()
    }
    /// Norms and biases.
    pub fn vectors(&self) -> Vec<Bind> {
        let n = &self.norms;
        let norms = [n.before_mixer, n.after_mixer, n.before_ffn, n.after_ffn].into_iter().flatten();
        norms.chain(self.mixer.vectors()).chain(self.ffn.vectors()).collect()
    }
}

/// Weights that still wait for the buffer of their vectors.
type Unbound<T> = Box<dyn FnOnce(&[Bind]) -> T>;

/// Vectors of a layer that still wait for their buffer: indices into [`Vectors`].
#[derive(Clone, Copy)]
struct Pending(Option<usize>);

impl Pending {
    fn bind(self, binds: &[Bind]) -> Option<Bind> {
        self.0.map(|n| binds[n])
    }
}

impl<'a> Placer<'a, '_> {
    fn model(&mut self, spec: &ModelSpec) -> Result<Weights> {
        // Of a tied pair either may be the one in the file; where both are, the reference code takes the embedding.
        let has_embed = self.has(Role::Embed, 0);
        let table = if spec.tied_embeddings && !has_embed { Role::Output } else { Role::Embed };
        let table = self.weight(spec, None, table, 0)?;
        let embed = self.split_matrix("embed", &[table])?;
        let output = if spec.tied_embeddings {
            let name = self.arch.tensor(Role::Output).map(|w| w.name(self.dialect, 0));
            self.claimed.extend(name.and_then(|n| self.index.position(&n)));
            None
        } else {
            let rows = self.weight(spec, None, Role::Output, 0)?;
            Some(self.split_matrix("output", &[rows])?)
        };
        let mut vectors = Vectors::default();
        let final_norm = self.norm(spec, None, Role::FinalNorm, 0)?;
        let final_norm = vectors.add(final_norm);
        let final_norm = self.vectors("final_norm", vectors)?[final_norm];
        let layers = spec.layers.iter().enumerate().map(|(i, layer)| self.layer(spec, layer, i));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        Ok(Weights { embed, output, final_norm, layers })
    }

    fn layer(&mut self, spec: &ModelSpec, layer: &LayerSpec, i: usize) -> Result<LayerWeights> {
        let mut vectors = Vectors::default();
        let mut norm = |placer: &mut Self, there: bool, role: Role| -> Result<Pending> {
            let rows = if there { Some(placer.norm(spec, Some(layer), role, i)?) } else { None };
            Ok(Pending(rows.map(|rows| vectors.add(rows))))
        };
        let before_mixer = norm(self, layer.norms.before_mixer, Role::MixerNorm)?;
        let after_mixer = norm(self, layer.norms.after_mixer, Role::MixerPostNorm)?;
        let before_ffn = norm(self, layer.norms.before_ffn, Role::FfnNorm)?;
        let after_ffn = norm(self, layer.norms.after_ffn, Role::FfnPostNorm)?;
        let mixer = attention::place(self, &mut vectors, spec, layer, i)?;
        let ffn = ffn::place(self, &mut vectors, spec, layer, i)?;
        let binds = self.vectors(&format!("layer{i}.vectors"), vectors)?;
        Ok(LayerWeights {
            norms: NormWeights {
                before_mixer: before_mixer.bind(&binds),
                after_mixer: after_mixer.bind(&binds),
                before_ffn: before_ffn.bind(&binds),
                after_ffn: after_ffn.bind(&binds),
            },
            mixer: mixer(&binds),
            ffn: ffn(&binds),
        })
    }

    /// Whether the file has the tensor of a role.
    fn has(&self, role: Role, i: usize) -> bool {
        self.arch.tensor(role).is_some_and(|w| self.index.get(&w.name(self.dialect, i)).is_some())
    }

    /// The weight of a role, claimed with the shape that the spec says.
    fn weight(&mut self, spec: &ModelSpec, layer: Option<&LayerSpec>, role: Role, i: usize) -> Result<Rows<'a>> {
        let wanted = self.arch.tensor(role).ok_or_else(|| {
            Error::UnsupportedModel(format!("the architecture {} has no tensor for {role:?}", self.arch.name))
        })?;
        let shape: Vec<u32> = wanted.shape.iter().map(|dim: &Dim| dim.size(spec, layer)).collect();
        self.claim(&wanted.name(self.dialect, i), &shape)
    }

    /// The weight of a norm, with what this dialect leaves to be added to it.
    fn norm(&mut self, spec: &ModelSpec, layer: Option<&LayerSpec>, role: Role, i: usize) -> Result<Rows<'a>> {
        let add = self.arch.norm_offset(self.dialect);
        Ok(Rows { add, ..self.weight(spec, layer, role, i)? })
    }

    /// A matrix and its bias, when it has one.
    fn linear(
        &mut self,
        spec: &ModelSpec,
        layer: &LayerSpec,
        role: Role,
        i: usize,
    ) -> Result<(Rows<'a>, Option<Rows<'a>>)> {
        let matrix = self.weight(spec, Some(layer), role, i)?;
        let bias = self.arch.tensor(role).map(|w| w.bias(self.dialect, i));
        let bias = bias.filter(|name| self.index.get(name).is_some());
        let bias = bias.map(|name| self.claim(&name, &[matrix.rows])).transpose()?;
        Ok((matrix, bias))
    }
}
