//! Tiled causal attention of a chunk of tokens against the cache (which already holds the chunk), with GQA sharing.
//! Token t sees keys max(0, r + t + 1 - window) ..= r + t of its KV head h, r = row - gone[h].

use super::params::{self, Field, params};
use super::{Access, Bind, Caps, Kernel, KvType, Slot, Step, StepState, Variant};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, q_stride]: rotated q in the first n_heads*head_dim columns.
    pub q: Bind,
    /// Row stride of q in elements, a multiple of 4.
    pub q_stride: u32,
    /// [capacity, n_kv_heads*head_dim] of `kv_type`
    pub k_cache: Bind,
    /// As `k_cache`.
    pub v_cache: Bind,
    /// Element type of the caches.
    pub kv_type: KvType,
    /// `StepState`
    pub state: Bind,
    /// u32 [n_kv_heads]: rows of each KV head that are no longer there (merged or evicted).
    pub gone: Bind,
    /// f32 [n_tokens, out_stride]
    pub out: Bind,
    /// Row stride of `out` in elements, a multiple of 4.
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

params! {
    /// As in the shader.
    struct Params {
        scale: f32,
        window: u32,
        blocks: u32,
        kv_row4: u32,
        q_stride4: u32,
        out_stride4: u32,
    }
}

/// Rows (token, query head) of a workgroup.
const ROWS: u32 = 32;
/// Workgroup memory of the base tier.
const WORKGROUP_BYTES: u32 = 16 << 10;

/// Bytes of workgroup memory of the shader for tiles of `keys`.
fn workgroup_bytes(keys: u32, head_dim: u32, kv_type: KvType) -> u32 {
    let quad = kv_type.bytes(4) as u32;
    keys * (head_dim / 4 + 1) * quad + 16 * ROWS * 4 + keys * ROWS * 4
}

/// Keys per tile: as many as fit.
fn keys_per_tile(head_dim: u32, kv_type: KvType) -> u32 {
    let fits = |keys: &u32| workgroup_bytes(*keys, head_dim, kv_type) <= WORKGROUP_BYTES;
    [32, 16].into_iter().find(fits).unwrap_or(8)
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args) -> Step {
    let group = args.n_heads / args.n_kv_heads;
    assert!(
        args.head_dim.is_multiple_of(4) && args.head_dim <= 256 && group * args.n_kv_heads == args.n_heads,
        "attention_prefill needs head_dim {} in fours up to 256 and {} KV heads to divide {} heads",
        args.head_dim,
        args.n_kv_heads,
        args.n_heads
    );
    assert!(
        args.q_stride.is_multiple_of(4) && args.out_stride.is_multiple_of(4),
        "attention_prefill needs q_stride {} and out_stride {} in fours",
        args.q_stride,
        args.out_stride
    );
    // Heads that share a workgroup's keys: a power of two, so that rows are not wasted.
    let heads = (1 << group.trailing_zeros()).min(8);
    let params = Params {
        scale: args.scale,
        window: args.window.unwrap_or(u32::MAX),
        blocks: group / heads,
        kv_row4: args.n_kv_heads * args.head_dim / 4,
        q_stride4: args.q_stride / 4,
        out_stride4: args.out_stride / 4,
    };
    Step {
        kernel: &AttentionPrefill,
        label: label.to_string(),
        variant: args
            .kv_type
            .define(Variant::new("attention_prefill", &args.kv_type.caps_used(caps)))
            .constant("HEAD_DIM", args.head_dim)
            .constant("HEADS", heads)
            .constant("KEYS", keys_per_tile(args.head_dim, args.kv_type)),
        params: params::encode(&params),
        bindings: vec![args.q, args.k_cache, args.v_cache, args.state, args.gone, args.out],
        grid: [args.n_heads / heads, args.n_tokens.div_ceil(ROWS / heads), 1],
    }
}

/// The kernel.
pub struct AttentionPrefill;

impl Kernel for AttentionPrefill {
    fn stem(&self) -> &'static str {
        "attention_prefill"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        [[Access::Read; 5].as_slice(), &[Access::ReadWrite]].concat()
    }
    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let [q, k_cache, v_cache, state, gone, out] = io else { panic!("attention_prefill has 6 bindings") };
        let kv_type = KvType::of(variant);
        let (head_dim, kv_row) = (variant.get("HEAD_DIM") as usize, 4 * p.kv_row4 as usize);
        let group = (p.blocks * variant.get("HEADS")) as usize;
        let n_heads = kv_row / head_dim * group;
        let state = StepState::from_words(state.words());
        for t in 0..state.n_tokens {
            for head in 0..n_heads {
                let past = state.row - gone.words()[head / group] + t + 1;
                let keys = (past.saturating_sub(p.window) as usize)..past as usize;
                let at = |key: usize, d: usize| key * kv_row + head / group * head_dim + d;
                let row = &q.f32s()[(t * 4 * p.q_stride4) as usize + head * head_dim..][..head_dim];
                let score = |key: usize| {
                    let dims = row.iter().enumerate();
                    let dot: f64 = dims.map(|(d, &x)| f64::from(x) * kv_type.load(k_cache.words(), at(key, d))).sum();
                    f64::from(p.scale) * dot
                };
                let scores: Vec<f64> = keys.clone().map(score).collect();
                let max = scores.iter().fold(f64::MIN, |a, &b| a.max(b));
                let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
                let total: f64 = weights.iter().sum();
                for d in 0..head_dim {
                    let v = |key: usize| kv_type.load(v_cache.words(), at(key, d));
                    let sum: f64 = keys.clone().zip(&weights).map(|(key, w)| w * v(key)).sum();
                    out.f32s_mut()[(t * 4 * p.out_stride4) as usize + head * head_dim + d] = (sum / total) as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_fits_workgroup_memory() {
        for kv_type in KvType::EACH {
            for head_dim in (4..=256).step_by(4) {
                let bytes = workgroup_bytes(keys_per_tile(head_dim, kv_type), head_dim, kv_type);
                assert!(bytes <= WORKGROUP_BYTES, "{head_dim} {kv_type:?}: {bytes}");
            }
        }
    }
}
