//! Gives every tensor a place in device buffers ([`place`]); [`upload`] brings the bytes there.
//!
//! Two phases, so that plans and pipelines can be made before the weights have arrived.

pub use super::upload::{Target, Upload, read_bytes, upload};

use super::archs::{Arch, Dialect, Index, tensor_name};
use super::placer::{Buffers, OnDevice, OnPaper, Placer, Rows, Vectors};
use super::spec::{LayerSpec, ModelSpec};
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

/// Rows of q, k and v in one matrix of one part; a kind that is absent has 0 heads.
#[derive(Debug, Clone)]
pub struct QkvPart {
    /// `[(q_heads + k_heads + v_heads) * head_dim, d_model]`
    pub matrix: Matrix,
    /// f32 `[rows]`; zeros where one of the stacked projections has no bias.
    pub bias: Option<Bind>,
    /// Query heads here.
    pub q_heads: u32,
    /// Key heads here.
    pub k_heads: u32,
    /// Value heads here.
    pub v_heads: u32,
}

/// Gate and up projection of an FFN.
#[derive(Debug, Clone)]
pub enum GateUp {
    /// `[2*d_ff, d_model]`, gate first, one part.
    Fused(Linear),
    /// Of different layouts, or too large for one binding together.
    Split {
        /// `[d_ff, d_model]`
        gate: Linear,
        /// `[d_ff, d_model]`
        up: Linear,
    },
}

/// Weights of one layer.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    /// f32 `[d_model]`
    pub attn_norm: Bind,
    /// q, k and v: in one matrix, two ([q; k] and v) or three.
    pub qkv: Vec<QkvPart>,
    /// `[d_model, n_heads*head_dim]`
    pub o: Linear,
    /// f32 `[d_model]`
    pub ffn_norm: Bind,
    /// Gate and up.
    pub gate_up: GateUp,
    /// `[d_model, d_ff]`
    pub down: Linear,
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
        names: arch.names(dialect),
        permuted: arch.gguf_permuted && dialect == Dialect::Gguf,
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
        std::iter::once(&self.embed).chain(&self.output).chain(self.layers.iter().flat_map(LayerWeights::matrices))
    }

    /// Bytes of weights that decoding one token reads: every matrix, norm and bias once, of the embedding table one
    /// row (and all of it, where it is the output matrix, too).
    pub fn bytes_per_token(&self) -> u64 {
        let row = self.embed.layout.bytes(1, self.embed.cols);
        let output = self.output.as_ref().unwrap_or(&self.embed).bytes();
        let layers = self.layers.iter().map(|l| {
            let matrices: u64 = l.matrices().map(Matrix::bytes).sum();
            matrices + l.vectors().map(|b| b.bytes).sum::<u64>()
        });
        row + output + self.final_norm.bytes + layers.sum::<u64>()
    }
}

impl LayerWeights {
    fn linears(&self) -> impl Iterator<Item = &Linear> {
        let (a, b) = match &self.gate_up {
            GateUp::Fused(both) => (both, None),
            GateUp::Split { gate, up } => (gate, Some(up)),
        };
        [&self.o, a].into_iter().chain(b).chain([&self.down])
    }
    /// All matrices.
    pub fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        self.qkv.iter().map(|p| &p.matrix).chain(self.linears().map(|l| &l.matrix))
    }
    /// Norms and biases.
    pub fn vectors(&self) -> impl Iterator<Item = Bind> {
        let biases = self.qkv.iter().filter_map(|p| p.bias).chain(self.linears().filter_map(|l| l.bias));
        [self.attn_norm, self.ffn_norm].into_iter().chain(biases)
    }
}

impl<'a> Placer<'a, '_> {
    fn model(&mut self, spec: &ModelSpec) -> Result<Weights> {
        let (vocab, d_model) = (spec.vocab_size, spec.d_model);
        let names = self.names;
        // Of a tied pair either may be the one in the file; where both are, the reference code takes the embedding.
        let embed = tensor_name(names.embed, 0, "weight");
        let output = tensor_name(names.output, 0, "weight");
        let table = if spec.tied_embeddings && self.index.get(&embed).is_none() { &output } else { &embed };
        let table = self.claim(table, &[vocab, d_model])?;
        let embed = self.split_matrix("embed", &[table])?;
        let output = if spec.tied_embeddings {
            self.claimed.extend(self.index.position(&output));
            None
        } else {
            let rows = self.claim(&output, &[vocab, d_model])?;
            Some(self.split_matrix("output", &[rows])?)
        };
        let mut vectors = Vectors::default();
        let final_norm = vectors.add(self.vector(names.final_norm, 0, d_model)?);
        let final_norm = self.vectors("final_norm", vectors)?[final_norm];
        let layers = spec.layers.iter().enumerate().map(|(i, layer)| self.layer(i, layer, d_model));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        Ok(Weights { embed, output, final_norm, layers })
    }

    fn layer(&mut self, i: usize, spec: &LayerSpec, d_model: u32) -> Result<LayerWeights> {
        let names = self.names;
        let label = |what: &str| format!("layer{i}.{what}");
        let mut vectors = Vectors::default();
        let attn_norm = vectors.add(self.vector(names.attn_norm, i, d_model)?);
        let ffn_norm = vectors.add(self.vector(names.ffn_norm, i, d_model)?);

        let [q, k, v] = self.qkv_rows(i, spec, d_model)?;
        let groups: Vec<Vec<Qkv<'a>>> = if self.stackable(&[&q, &k, &v]) {
            vec![vec![q, k, v]]
        } else if self.stackable(&[&q, &k]) {
            vec![vec![q, k], vec![v]]
        } else {
            vec![vec![q], vec![k], vec![v]]
        };
        let mut qkv = Vec::new();
        for group in groups {
            let rows: Vec<Rows<'a>> = group.iter().map(|g| g.rows).collect();
            let matrix = self.one_part(&label("qkv"), &rows)?;
            let bias = vectors.add_stacked(&group.iter().map(|g| (g.rows.rows, g.bias)).collect::<Vec<_>>());
            let heads = |kind: usize| group.iter().filter(|g| g.kind == kind).map(|g| g.heads).sum();
            qkv.push((QkvPart { matrix, bias: None, q_heads: heads(0), k_heads: heads(1), v_heads: heads(2) }, bias));
        }

        let width = spec.n_heads * spec.head_dim;
        let (o, o_bias) = self.linear(names.o, i, d_model, width)?;
        let o = self.split_matrix(&label("o"), &[o])?;
        let o_bias = vectors.add_stacked(&[(d_model, o_bias)]);

        let (gate, gate_bias) = self.linear(names.gate, i, spec.d_ff, d_model)?;
        let (up, up_bias) = self.linear(names.up, i, spec.d_ff, d_model)?;
        let fused = self.fits(&[gate, up]);
        let gate_up = if fused {
            vec![self.one_part(&label("gate_up"), &[gate, up])?]
        } else {
            vec![self.split_matrix(&label("gate"), &[gate])?, self.split_matrix(&label("up"), &[up])?]
        };
        let gate_up_bias = if fused {
            vec![vectors.add_stacked(&[(spec.d_ff, gate_bias), (spec.d_ff, up_bias)])]
        } else {
            vec![vectors.add_stacked(&[(spec.d_ff, gate_bias)]), vectors.add_stacked(&[(spec.d_ff, up_bias)])]
        };

        let (down, down_bias) = self.linear(names.down, i, d_model, spec.d_ff)?;
        let down = self.split_matrix(&label("down"), &[down])?;
        let down_bias = vectors.add_stacked(&[(d_model, down_bias)]);

        let binds = self.vectors(&label("vectors"), vectors)?;
        let bias = |index: Option<usize>| index.map(|n| binds[n]);
        let mut gate_up = gate_up.into_iter().zip(gate_up_bias).map(|(matrix, b)| Linear { matrix, bias: bias(b) });
        Ok(LayerWeights {
            attn_norm: binds[attn_norm],
            qkv: qkv.into_iter().map(|(part, b)| QkvPart { bias: bias(b), ..part }).collect(),
            o: Linear { matrix: o, bias: bias(o_bias) },
            ffn_norm: binds[ffn_norm],
            gate_up: match (gate_up.next(), gate_up.next()) {
                (Some(gate), Some(up)) => GateUp::Split { gate, up },
                (Some(both), None) => GateUp::Fused(both),
                (None, _) => unreachable!("one matrix or two were made above"),
            },
            down: Linear { matrix: down, bias: bias(down_bias) },
        })
    }

    /// Where the rows of q, k and v lie: in three tensors or in one.
    fn qkv_rows(&mut self, i: usize, spec: &LayerSpec, d_model: u32) -> Result<[Qkv<'a>; 3]> {
        let names = self.names;
        let permute = self.permuted.then_some(spec.head_dim);
        let heads = [spec.n_heads, spec.n_kv_heads, spec.n_kv_heads];
        let fused = names.qkv.filter(|n| self.index.get(&tensor_name(n, i, "weight")).is_some());
        let mut out = Vec::new();
        let mut first = 0;
        for (kind, (name, heads)) in [names.q, names.k, names.v].into_iter().zip(heads).enumerate() {
            let n = heads * spec.head_dim;
            let (rows, bias) = match fused {
                Some(name) => {
                    let all = (spec.n_heads + 2 * spec.n_kv_heads) * spec.head_dim;
                    let (rows, bias) = self.linear(name, i, all, d_model)?;
                    let slice = |r: Rows<'a>| Rows { first, rows: n, ..r };
                    (slice(rows), bias.map(slice))
                }
                None => self.linear(name, i, n, d_model)?,
            };
            first += n;
            let permute = permute.filter(|_| kind < 2);
            let permuted = |r: Rows<'a>| Rows { permute, ..r };
            out.push(Qkv { kind, heads, rows: permuted(rows), bias: bias.map(permuted) });
        }
        out.try_into().map_err(|_| Error::BadFile("q, k and v are three".into()))
    }

    /// A matrix and its bias, when it has one.
    fn linear(&mut self, name: &str, i: usize, rows: u32, cols: u32) -> Result<(Rows<'a>, Option<Rows<'a>>)> {
        let matrix = self.claim(&tensor_name(name, i, "weight"), &[rows, cols])?;
        let bias = tensor_name(name, i, "bias");
        let bias = if self.index.get(&bias).is_some() { Some(self.claim(&bias, &[rows])?) } else { None };
        Ok((matrix, bias))
    }

    fn stackable(&self, parts: &[&Qkv<'a>]) -> bool {
        self.fits(&parts.iter().map(|p| p.rows).collect::<Vec<_>>())
    }

    fn vector(&mut self, name: &str, i: usize, len: u32) -> Result<Rows<'a>> {
        self.claim(&tensor_name(name, i, "weight"), &[len])
    }
}

/// One of q, k and v.
#[derive(Clone, Copy)]
struct Qkv<'a> {
    /// 0 q, 1 k, 2 v.
    kind: usize,
    heads: u32,
    rows: Rows<'a>,
    bias: Option<Rows<'a>>,
}
