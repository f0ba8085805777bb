//! Prefill: rotates q in place and writes rotated k and plain v into the cache.

use super::reference::pack_f16;
use super::{Access, Bind, Caps, Kernel, KvType, OutputKind, Slot, Step, StepState, Variant};

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

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    stride: u32,
    q_pairs: u32,
    kv_pairs: u32,
    n_heads: u32,
}

const WG: u32 = 128;

/// Builds the step: the same on every tier.
pub fn step(_caps: &Caps, label: &str, args: &Args) -> Step {
    assert!(
        args.head_dim.is_multiple_of(4) && args.n_rot.is_multiple_of(2) && args.n_rot <= args.head_dim,
        "rope_kv needs head_dim {} in fours and n_rot {} even and no larger",
        args.head_dim,
        args.n_rot
    );
    let params = Params {
        stride: args.stride,
        q_pairs: args.n_heads * args.n_rot / 2,
        kv_pairs: args.n_kv_heads * args.head_dim / 2,
        n_heads: args.n_heads,
    };
    Step {
        kernel: &RopeKv,
        label: label.to_string(),
        variant: Variant::new("rope_kv", &Caps::BASE)
            .flag("KV_F32", args.kv_type == KvType::F32)
            .constant("WG", WG)
            .constant("HEAD_DIM", args.head_dim)
            .constant("N_ROT", args.n_rot),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings: vec![args.qkv, args.rope, args.state, args.k_cache, args.v_cache],
        grid: [(params.q_pairs + 2 * params.kv_pairs).div_ceil(WG), args.n_tokens, 1],
    }
}

/// The kernel.
pub struct RopeKv;

impl Kernel for RopeKv {
    fn stem(&self) -> &'static str {
        "rope_kv"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        vec![Access::ReadWrite, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite]
    }
    fn outputs(&self, variant: &Variant) -> OutputKind {
        if variant.has("KV_F32") { OutputKind::F32 } else { OutputKind::F32ThenF16 }
    }
    fn params_bytes(&self) -> usize {
        size_of::<Params>()
    }
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = bytemuck::pod_read_unaligned(params);
        let [qkv, rope, state, k_cache, v_cache] = io else { panic!("rope_kv has 5 bindings") };
        let (head_dim, n_rot) = (variant.get("HEAD_DIM") as usize, variant.get("N_ROT") as usize);
        let (q_cols, kv_cols) = (p.n_heads as usize * head_dim, 2 * p.kv_pairs as usize);
        let state = StepState::from_words(state.words());
        for t in 0..state.n_tokens as usize {
            let position = state.position as usize + t;
            let row = &mut qkv.f32s_mut()[t * p.stride as usize..][..q_cols + 2 * kv_cols];
            let mut turned: Vec<f64> = row.iter().map(|&x| x.into()).collect();
            for head in turned[..q_cols + kv_cols].chunks_exact_mut(head_dim) {
                for i in 0..n_rot / 2 {
                    let at = 2 * (position * n_rot / 2 + i);
                    let (cos, sin) = (f64::from(rope.f32s()[at]), f64::from(rope.f32s()[at + 1]));
                    let (a, b) = (head[i], head[i + n_rot / 2]);
                    head[i] = a * cos - b * sin;
                    head[i + n_rot / 2] = b * cos + a * sin;
                }
            }
            for (x, y) in row[..q_cols].iter_mut().zip(&turned) {
                *x = *y as f32;
            }
            let (k, v) = turned[q_cols..].split_at(kv_cols);
            for (cache, values) in [(&mut *k_cache, k), (&mut *v_cache, v)] {
                if variant.has("KV_F32") {
                    for (i, &x) in values.iter().enumerate() {
                        cache.f32s_mut()[position * kv_cols + i] = x as f32;
                    }
                } else {
                    for (i, x) in values.chunks_exact(2).enumerate() {
                        cache.words_mut()[position * kv_cols / 2 + i] = pack_f16(x[0], x[1]);
                    }
                }
            }
        }
    }
}
