//! Prefill: rotates q in place and writes rotated k and plain v into the cache.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, KvType, Step};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, stride]: row = [q; k; v]; q is rotated in place, the rest is left alone.
    pub qkv: Bind,
    /// Row stride in elements.
    pub stride: u32,
    /// f32 [capacity, n_rot/2, 2]: cos, sin.
    pub rope: Bind,
    /// `StepState`
    pub state: Bind,
    /// [capacity, n_kv_heads*head_dim] of `kv_type`; token t goes to row position + t.
    pub k_cache: Bind,
    /// As `k_cache`.
    pub v_cache: Bind,
    /// Element type of the caches.
    pub kv_type: KvType,
    /// Query heads.
    pub n_heads: u32,
    /// KV heads.
    pub n_kv_heads: u32,
    /// Dimensions of a head: a multiple of 4, at most 256.
    pub head_dim: u32,
    /// Rotated dimensions: pairs (i, i + n_rot/2); 0 = no rope.
    pub n_rot: u32,
    /// Bucket.
    pub n_tokens: u32,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args) -> Step {
    todo!()
}

/// The kernel.
pub struct RopeKv;

impl Kernel for RopeKv {
    fn stem(&self) -> &'static str {
        "rope_kv"
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
