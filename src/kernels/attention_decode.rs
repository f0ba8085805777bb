//! One decode token against the cache, split over keys: each workgroup serves all query heads of one KV head
//! for one range of keys and writes unnormalised partial outputs; `matvec` with `Input::Merge` joins them.
//!
//! KV head h sees `live = min(row + 1 - gone[h], window)` keys, the last ones of rows `0..=row - gone[h]`.
//! [`active_splits`] splits, the same number for all heads, share them: `ceil(live / active)` keys each, so that a head
//! that lost rows has smaller shares, of which the last may be empty. Workgroups of the other splits return at once and
//! the merge ignores them.

use super::params::{self, Field, params};
use super::{Access, Bind, Caps, Kernel, KvType, Slot, Step, StepState, Variant};

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
    /// u32 [n_kv_heads]: rows of each KV head that are no longer there (merged or evicted).
    pub gone: Bind,
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
    /// Splits allocated (grid). A split whose share of the keys is empty gets max = -3e38 and zeros.
    pub n_splits: u32,
}

/// Keys that are worth a split of their own.
pub const SPLIT_KEYS: u32 = 64;
/// Most splits: more would cost the merge more than they speed up.
pub const MAX_SPLITS: u32 = 16;

/// Splits to allocate for a context: the merge keeps the sums of all splits and heads in workgroup memory.
pub fn n_splits(context_length: u32, n_heads: u32) -> u32 {
    context_length.div_ceil(SPLIT_KEYS).min(MAX_SPLITS).min(super::matvec::MAX_STATS / n_heads)
}

/// Splits in use: one per [`SPLIT_KEYS`] keys of a head that lost none.
pub fn active_splits(row: u32, window: u32, n_splits: u32) -> u32 {
    (row + 1).min(window).div_ceil(SPLIT_KEYS).clamp(1, n_splits)
}

params! {
    /// As in the shader.
    struct Params {
        scale: f32,
        window: u32,
        n_splits: u32,
        n_heads: u32,
        group: u32,
        kv_row4: u32,
    }
}

const WG: u32 = 128;
/// Workgroup memory of the base tier.
const WORKGROUP_BYTES: u32 = 16 << 10;
/// The maximum of a split without keys.
const LOWEST: f32 = -3.0e38;

/// Bytes of workgroup memory of the shader for a block of `heads` query heads.
fn workgroup_bytes(heads: u32, head_dim: u32) -> u32 {
    let key_lanes = (WG / (head_dim / 4)).min(16);
    let scratch = (4 * (heads * 64 + 8)).max(key_lanes / 2 * heads * head_dim);
    4 * (heads * head_dim + scratch + heads * 64 + heads * 8)
}

/// Query heads per workgroup: the whole group where it fits, else equal parts of it. More than 8 would cost too many
/// registers (four accumulators each).
fn heads_per_workgroup(group: u32, head_dim: u32) -> u32 {
    let fits = (1..=8).rev().find(|&h| workgroup_bytes(h, head_dim) <= WORKGROUP_BYTES).unwrap_or(1);
    group.div_ceil(group.div_ceil(fits))
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args) -> Step {
    let group = args.n_heads / args.n_kv_heads;
    assert!(
        args.head_dim.is_multiple_of(4) && args.head_dim <= 256 && group * args.n_kv_heads == args.n_heads,
        "attention_decode needs head_dim {} in fours up to 256 and {} KV heads to divide {} heads",
        args.head_dim,
        args.n_kv_heads,
        args.n_heads
    );
    let heads = heads_per_workgroup(group, args.head_dim);
    let params = Params {
        scale: args.scale,
        window: args.window.unwrap_or(u32::MAX),
        n_splits: args.n_splits,
        n_heads: args.n_heads,
        group,
        kv_row4: args.n_kv_heads * args.head_dim / 4,
    };
    Step {
        kernel: &AttentionDecode,
        label: label.to_string(),
        variant: args
            .kv_type
            .define(Variant::new("attention_decode", &args.kv_type.caps_used(caps)))
            .constant("WG", WG)
            .constant("HEAD_DIM", args.head_dim)
            .constant("HEADS", heads),
        params: params::encode(&params),
        bindings: vec![args.q, args.k_cache, args.v_cache, args.state, args.gone, args.partials, args.stats],
        grid: [args.n_kv_heads, args.n_splits, group.div_ceil(heads)],
    }
}

/// The kernel.
pub struct AttentionDecode;

impl Kernel for AttentionDecode {
    fn stem(&self) -> &'static str {
        "attention_decode"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        [[Access::Read; 5].as_slice(), &[Access::ReadWrite; 2]].concat()
    }
    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let [q, k_cache, v_cache, state, gone, partials, stats] = io else { panic!("attention_decode has 7 bindings") };
        let kv_type = KvType::of(variant);
        let (head_dim, kv_row) = (variant.get("HEAD_DIM") as usize, 4 * p.kv_row4 as usize);
        let row = StepState::from_words(state.words()).row;
        let active = active_splits(row, p.window, p.n_splits);
        for split in 0..active {
            for head in 0..p.n_heads as usize {
                let past = row + 1 - gone.words()[head / p.group as usize];
                let live = past.min(p.window);
                let share = live.div_ceil(active);
                let first = past - live;
                let keys: Vec<usize> =
                    (split * share..((split + 1) * share).min(live)).map(|j| (first + j) as usize).collect();
                let of_head = |key: usize, d: usize| key * kv_row + head / p.group as usize * head_dim + d;
                let score = |&key: &usize| {
                    let dims = (0..head_dim).map(|d| {
                        f64::from(q.f32s()[head * head_dim + d]) * kv_type.load(k_cache.words(), of_head(key, d))
                    });
                    f64::from(p.scale) * dims.sum::<f64>()
                };
                let scores: Vec<f64> = keys.iter().map(score).collect();
                let max = scores.iter().fold(f64::from(LOWEST), |a, &b| a.max(b));
                let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
                let at = split as usize * p.n_heads as usize + head;
                stats.f32s_mut()[2 * at] = max as f32;
                stats.f32s_mut()[2 * at + 1] = weights.iter().sum::<f64>() as f32;
                for d in 0..head_dim {
                    let v = |key: usize| kv_type.load(v_cache.words(), of_head(key, d));
                    let sum: f64 = keys.iter().zip(&weights).map(|(&key, w)| w * v(key)).sum();
                    partials.f32s_mut()[at * head_dim + d] = sum as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_fits_workgroup_memory() {
        for head_dim in (4..=256).step_by(4) {
            for group in 1..=16 {
                let heads = heads_per_workgroup(group, head_dim);
                let blocks = group.div_ceil(heads);
                assert!(workgroup_bytes(heads, head_dim) <= WORKGROUP_BYTES, "{group} x {head_dim}");
                assert!(heads * blocks >= group && heads * (blocks - 1) < group, "{group} x {head_dim}");
            }
        }
    }
}
