//! One decode token against the cache, split over keys: each workgroup serves all query heads of one KV head
//! for one range of keys and writes unnormalised partial outputs; `matvec` with `Input::Merge` joins them.
//!
//! Live keys are `first..=position` with first = max(0, position + 1 - window); with `live` of them,
//! `active = clamp(ceil(live / 64), 1, n_splits)` splits of `ceil(live / active)` keys each are used
//! ([`active_splits`]); workgroups of the others return at once and the merge ignores them.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, KvType, Step};

/// What to do.
pub struct Args {
    /// f32 [n_heads*head_dim], rotated.
    pub q: Bind,
    /// [capacity, n_kv_heads*head_dim] of `kv_type`; the current token's row is already written.
    pub k_cache: Bind,
    /// As `k_cache`.
    pub v_cache: Bind,
    /// Element type of the caches.
    pub kv_type: KvType,
    /// `StepState`
    pub state: Bind,
    /// f32 [n_splits, n_heads, head_dim]: sum of exp(score - max) * v
    pub partials: Bind,
    /// f32 [n_splits, n_heads, 2]: max, sum of exp(score - max)
    pub stats: Bind,
    /// Query heads.
    pub n_heads: u32,
    /// KV heads; query head h uses KV head h / (n_heads / n_kv_heads).
    pub n_kv_heads: u32,
    /// Dimensions of a head: a multiple of 4, at most 256.
    pub head_dim: u32,
    /// Softmax scale.
    pub scale: f32,
    /// Sliding window.
    pub window: Option<u32>,
    /// Splits allocated (grid).
    pub n_splits: u32,
}

/// Number of splits in use and keys per split for `live` keys.
pub fn active_splits(live: u32, n_splits: u32) -> (u32, u32) {
    let active = live.div_ceil(64).clamp(1, n_splits);
    (active, live.div_ceil(active))
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args) -> Step {
    todo!()
}

/// The kernel.
pub struct AttentionDecode;

impl Kernel for AttentionDecode {
    fn stem(&self) -> &'static str {
        "attention_decode"
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
