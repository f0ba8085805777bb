//! stub
use crate::kernels::*;
pub struct Linear {
    pub matrix: Matrix,
    pub bias: Option<Bind>,
}
pub struct QkvPart {
    pub matrix: Matrix,
    pub bias: Option<Bind>,
    pub q_heads: u32,
    pub k_heads: u32,
    pub v_heads: u32,
}
pub enum GateUp {
    Fused(Linear),
    Split { gate: Linear, up: Linear },
}
pub struct LayerWeights {
    pub attn_norm: Bind,
    pub qkv: Vec<QkvPart>,
    pub o: Linear,
    pub ffn_norm: Bind,
    pub gate_up: GateUp,
    pub down: Linear,
}
pub struct Weights {
    pub embed: Matrix,
    pub output: Option<Matrix>,
    pub final_norm: Bind,
    pub layers: Vec<LayerWeights>,
}
