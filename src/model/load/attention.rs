//! Places the weights of an attention layer: q, k and v stacked into as few matrices as layouts and limits allow.

use super::super::placer::{Placer, Rows, Vectors};
use super::super::spec::{Attention, LayerSpec, Mixer, ModelSpec};
use super::super::tensors::{Dialect, Role};
use super::{Linear, Pending, Unbound};
use crate::error::{Error, Result};
use crate::kernels::{Bind, Matrix};

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

/// Weights of [`Attention`].
#[derive(Debug, Clone)]
pub struct AttentionWeights {
    /// q, k and v: in one matrix, two ([q; k] and v) or three.
    pub qkv: Vec<QkvPart>,
    /// f32 `[2 * head_dim]`: norm of query heads, then of key heads.
    pub qk_norm: Option<Bind>,
    /// `[d_model, n_heads*head_dim]`
    pub o: Linear,
}

/// Weights of a mixer.
#[derive(Debug, Clone)]
pub enum MixerWeights {
    /// Of [`Mixer::Attention`].
    Attention(AttentionWeights),
}

impl MixerWeights {
    /// All matrices.
    pub fn matrices(&self) -> Vec<&Matrix> {
        match self {
            MixerWeights::Attention(w) => w.qkv.iter().map(|p| &p.matrix).chain([&w.o.matrix]).collect(),
        }
    }
    /// Biases and norms.
    pub fn vectors(&self) -> Vec<Bind> {
        match self {
            MixerWeights::Attention(w) => {
                w.qkv.iter().filter_map(|p| p.bias).chain(w.qk_norm).chain(w.o.bias).collect()
            }
        }
    }
}

/// Claims the tensors of a layer's mixer and makes its matrices; the weights are complete once the vectors have their
/// buffer.
pub(super) fn place<'a>(
    placer: &mut Placer<'a, '_>,
    vectors: &mut Vectors<'a>,
    spec: &ModelSpec,
    layer: &LayerSpec,
    i: usize,
) -> Result<Unbound<MixerWeights>> {
    match &layer.mixer {
        Mixer::Attention(attention) => {
            let weights = place_attention(placer, vectors, spec, layer, attention, i)?;
            Ok(Box::new(move |binds| MixerWeights::Attention(weights(binds))))
        }
    }
}

/// One of q, k and v.
#[derive(Clone, Copy)]
struct Projection<'a> {
    role: Role,
    heads: u32,
    rows: Rows<'a>,
    bias: Option<Rows<'a>>,
}

fn place_attention<'a>(
    placer: &mut Placer<'a, '_>,
    vectors: &mut Vectors<'a>,
    spec: &ModelSpec,
    layer: &LayerSpec,
    attention: &Attention,
    i: usize,
) -> Result<Unbound<AttentionWeights>> {
    let [q, k, v] = projections(placer, spec, layer, attention, i)?;
    let fits = |placer: &Placer<'a, '_>, parts: &[Projection<'a>]| {
        placer.fits(&parts.iter().map(|p| p.rows).collect::<Vec<_>>())
    };
    let groups: Vec<Vec<Projection<'a>>> = if fits(placer, &[q, k, v]) {
        vec![vec![q, k, v]]
    } else if fits(placer, &[q, k]) {
        vec![vec![q, k], vec![v]]
    } else {
        vec![vec![q], vec![k], vec![v]]
    };
    let mut qkv = Vec::new();
    for group in groups {
        let rows: Vec<Rows<'a>> = group.iter().map(|g| g.rows).collect();
        let matrix = placer.one_part(&format!("layer{i}.qkv"), &rows)?;
        let bias = vectors.add_stacked(&group.iter().map(|g| (g.rows.rows, g.bias)).collect::<Vec<_>>());
        let heads = |role: Role| group.iter().filter(|g| g.role == role).map(|g| g.heads).sum();
        let (q_heads, k_heads, v_heads) = (heads(Role::Q), heads(Role::K), heads(Role::V));
        qkv.push((QkvPart { matrix, bias: None, q_heads, k_heads, v_heads }, Pending(bias)));
    }
    let mut qk_norm = Pending(None);
    if attention.qk_norm {
        let [q, k] = [Role::QNorm, Role::KNorm].map(|role| placer.norm(spec, Some(layer), role, i));
        qk_norm = Pending(vectors.add_stacked(&[(attention.head_dim, Some(q?)), (attention.head_dim, Some(k?))]));
    }
    let (o, o_bias) = placer.linear(spec, layer, Role::O, i)?;
    let o = placer.split_matrix(&format!("layer{i}.o"), &[o])?;
    let o_bias = Pending(vectors.add_stacked(&[(spec.d_model, o_bias)]));
    Ok(Box::new(move |binds| AttentionWeights {
        qkv: qkv.into_iter().map(|(part, bias)| QkvPart { bias: bias.bind(binds), ..part }).collect(),
        qk_norm: qk_norm.bind(binds),
        o: Linear { matrix: o, bias: o_bias.bind(binds) },
    }))
}

/// Where the rows of q, k and v lie: in three tensors or in one.
fn projections<'a>(
    placer: &mut Placer<'a, '_>,
    spec: &ModelSpec,
    layer: &LayerSpec,
    attention: &Attention,
    i: usize,
) -> Result<[Projection<'a>; 3]> {
    let permuted = placer.arch.gguf_permuted && placer.dialect == Dialect::Gguf;
    let fused = placer.has(Role::Qkv, i);
    let kinds = [(Role::Q, attention.n_heads), (Role::K, attention.n_kv_heads), (Role::V, attention.n_kv_heads)];
    let mut out = Vec::new();
    let mut first = 0;
    for (role, heads) in kinds {
        let n = heads * attention.head_dim;
        let (rows, bias) = placer.linear(spec, layer, if fused { Role::Qkv } else { role }, i)?;
        let permute = (permuted && role != Role::V).then_some(attention.head_dim);
        let part = |r: Rows<'a>| Rows { first: if fused { first } else { 0 }, rows: n, permute, ..r };
        out.push(Projection { role, heads, rows: part(rows), bias: bias.map(part) });
        first += n;
    }
    out.try_into().map_err(|_| Error::BadFile("q, k and v are three".into()))
}
