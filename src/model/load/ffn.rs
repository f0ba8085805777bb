//! Places the weights of a dense FFN: gate and up stacked where layouts and limits allow.

use super::super::placer::{Placer, Vectors};
use super::super::spec::{DenseFfn, Ffn, LayerSpec, ModelSpec};
use super::super::tensors::Role;
use super::{Linear, Pending, Unbound};
use crate::error::Result;
use crate::kernels::{Bind, Matrix};

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

/// Weights of [`DenseFfn`].
#[derive(Debug, Clone)]
pub struct DenseWeights {
    /// Gate and up.
    pub gate_up: GateUp,
    /// `[d_model, d_ff]`
    pub down: Linear,
}

/// Weights of an FFN.
#[derive(Debug, Clone)]
pub enum FfnWeights {
    /// Of [`Ffn::Dense`].
    Dense(DenseWeights),
}

impl FfnWeights {
    /// All matrices.
    pub fn matrices(&self) -> Vec<&Matrix> {
        match self {
            FfnWeights::Dense(w) => w.linears().map(|l| &l.matrix).collect(),
        }
    }
    /// Biases.
    pub fn vectors(&self) -> Vec<Bind> {
        match self {
            FfnWeights::Dense(w) => w.linears().filter_map(|l| l.bias).collect(),
        }
    }
}

impl DenseWeights {
    /// All linear layers.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        let (a, b) = match &self.gate_up {
            GateUp::Fused(both) => (both, None),
            GateUp::Split { gate, up } => (gate, Some(up)),
        };
        std::iter::once(a).chain(b).chain([&self.down])
    }
}

/// Claims the tensors of a layer's FFN and makes its matrices; the weights are complete once the vectors have their
/// buffer.
pub(super) fn place<'a>(
    placer: &mut Placer<'a, '_>,
    vectors: &mut Vectors<'a>,
    spec: &ModelSpec,
    layer: &LayerSpec,
    i: usize,
) -> Result<Unbound<FfnWeights>> {
    match &layer.ffn {
        Ffn::Dense(dense) => {
            let weights = place_dense(placer, vectors, spec, layer, dense, i)?;
            Ok(Box::new(move |binds| FfnWeights::Dense(weights(binds))))
        }
    }
}

fn place_dense<'a>(
    placer: &mut Placer<'a, '_>,
    vectors: &mut Vectors<'a>,
    spec: &ModelSpec,
    layer: &LayerSpec,
    dense: &DenseFfn,
    i: usize,
) -> Result<Unbound<DenseWeights>> {
    let label = |what: &str| format!("layer{i}.{what}");
    let d_ff = dense.d_ff;
    let (gate, gate_bias) = placer.linear(spec, layer, Role::Gate, i)?;
    let (up, up_bias) = placer.linear(spec, layer, Role::Up, i)?;
    let mut matrices = Vec::new();
    if placer.fits(&[gate, up]) {
        let bias = vectors.add_stacked(&[(d_ff, gate_bias), (d_ff, up_bias)]);
        matrices.push((placer.one_part(&label("gate_up"), &[gate, up])?, Pending(bias)));
    } else {
        for (what, rows, bias) in [("gate", gate, gate_bias), ("up", up, up_bias)] {
            matrices.push((placer.split_matrix(&label(what), &[rows])?, Pending(vectors.add_stacked(&[(d_ff, bias)]))));
        }
    }
    let (down, down_bias) = placer.linear(spec, layer, Role::Down, i)?;
    let down = placer.split_matrix(&label("down"), &[down])?;
    let down_bias = Pending(vectors.add_stacked(&[(spec.d_model, down_bias)]));
    Ok(Box::new(move |binds| {
        let mut linears = matrices.into_iter().map(|(matrix, bias)| Linear { matrix, bias: bias.bind(binds) });
        DenseWeights {
            gate_up: match (linears.next(), linears.next()) {
                (Some(gate), Some(up)) => GateUp::Split { gate, up },
                (Some(both), None) => GateUp::Fused(both),
                (None, _) => unreachable!("one matrix or two were made above"),
            },
            down: Linear { matrix: down, bias: down_bias.bind(binds) },
        }
    }))
}
