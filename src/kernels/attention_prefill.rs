//! Tiled causal attention of a chunk of tokens against the cache (which already holds the chunk), with GQA sharing.
//! Token t sees keys max(0, position + t + 1 - window) ..= position + t.

use super::{Access, Case, Kernel, Slot, Variant};
use super::{Bind, Caps, KvType, Step};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, q_stride]: rotated q in the first n_heads*head_dim columns.
    pub q: Bind,
    /// Row stride of q in elements.
    pub q_stride: u32,
    /// [capacity, n_kv_heads*head_dim] of `kv_type`
    pub k_cache: Bind,
    /// As `k_cache`.
    pub v_cache: Bind,
    /// Element type of the caches.
    pub kv_type: KvType,
    /// `StepState`
    pub state: Bind,
    /// f32 [n_tokens, out_stride]
    pub out: Bind,
    /// Row stride of `out` in elements.
    pub out_stride: u32,
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
    /// Bucket.
    pub n_tokens: u32,
}

/// Builds the step.
pub fn step(_caps: &Caps, _label: &str, _args: &Args) -> Step {
    todo!()
}

/// The kernel.
pub struct AttentionPrefill;

impl Kernel for AttentionPrefill {
    fn stem(&self) -> &'static str {
        "attention_prefill"
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
