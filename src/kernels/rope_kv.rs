//! Rotates q in place and writes rotated k and plain v into the cache; before that normalises each head of q and k,
//! where the model does.

use super::params::{self, Field, params};
use super::{Access, Bind, Caps, Kernel, KvType, OutputKind, Slot, Step, StepState, Variant, reference};

/// What to do.
pub struct Args {
    /// f32 [n_tokens, stride]: row = [q; k; v]; q is rotated in place, the rest is left alone.
    pub qkv: Bind,
    /// Row stride in elements.
    pub stride: u32,
    /// f32 [capacity, n_rot/2, 2]: cos, sin.
    pub rope: Bind,
    /// f32 [2*head_dim]: weights of the RMSNorm of each head of q, then of k; None without one.
    pub qk_norm: Option<Bind>,
    /// rms_norm_eps, of `qk_norm`.
    pub eps: f32,
    /// `StepState`
    pub state: Bind,
    /// u32 [n_kv_heads]: rows of each KV head that are no longer there (merged or evicted).
    pub gone: Bind,
    /// [capacity, n_kv_heads*head_dim] of `kv_type`; token t of KV head h goes to row `state.row + t - gone[h]`.
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

params! {
    /// As in the shader.
    struct Params {
        stride: u32,
        n_heads: u32,
        n_kv_heads: u32,
        eps: f32,
    }
}

/// Builds the step: the same on every tier.
pub fn step(_caps: &Caps, label: &str, args: &Args) -> Step {
    assert!(
        args.head_dim.is_multiple_of(4) && args.n_rot.is_multiple_of(2) && args.n_rot <= args.head_dim,
        "rope_kv needs head_dim {} in fours and n_rot {} even and no larger",
        args.head_dim,
        args.n_rot
    );
    let params = Params { stride: args.stride, n_heads: args.n_heads, n_kv_heads: args.n_kv_heads, eps: args.eps };
    let mut bindings = vec![args.qkv, args.rope, args.state, args.gone, args.k_cache, args.v_cache];
    bindings.extend(args.qk_norm);
    Step {
        kernel: &RopeKv,
        label: label.to_string(),
        variant: args
            .kv_type
            .define(Variant::new("rope_kv", &Caps::BASE))
            .flag("QK_NORM", args.qk_norm.is_some())
            .constant("WG", (args.head_dim / 2).next_power_of_two().clamp(32, 128))
            .constant("HEAD_DIM", args.head_dim)
            .constant("N_ROT", args.n_rot),
        params: params::encode(&params),
        bindings,
        grid: [args.n_heads + 2 * args.n_kv_heads, args.n_tokens, 1],
    }
}

/// The kernel.
pub struct RopeKv;

impl Kernel for RopeKv {
    fn stem(&self) -> &'static str {
        "rope_kv"
    }
    fn access(&self, variant: &Variant) -> Vec<Access> {
        use Access::{Read, ReadWrite};
        let mut access = vec![ReadWrite, Read, Read, Read, ReadWrite, ReadWrite];
        access.extend(variant.has("QK_NORM").then_some(Read));
        access
    }
    fn outputs(&self, variant: &Variant) -> OutputKind {
        KvType::of(variant).outputs()
    }
    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let [qkv, rope, state, gone, k_cache, v_cache, qk_norm @ ..] = io else {
            panic!("rope_kv has 6 bindings or 7")
        };
        let (head_dim, n_rot) = (variant.get("HEAD_DIM") as usize, variant.get("N_ROT") as usize);
        let [q_cols, kv_cols] = [p.n_heads, p.n_kv_heads].map(|n| n as usize * head_dim);
        let state = StepState::from_words(state.words());
        for t in 0..state.n_tokens as usize {
            let position = state.position as usize + t;
            let row = &mut qkv.f32s_mut()[t * p.stride as usize..][..q_cols + 2 * kv_cols];
            let mut turned: Vec<f64> = row.iter().map(|&x| x.into()).collect();
            for (h, head) in turned[..q_cols + kv_cols].chunks_exact_mut(head_dim).enumerate() {
                if let [weights] = qk_norm {
                    let first = if h < p.n_heads as usize { 0 } else { head_dim };
                    reference::normalise(head, &weights.f32s()[first..][..head_dim], p.eps);
                }
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
                for (h, head) in values.chunks_exact(head_dim).enumerate() {
                    let row = state.row as usize + t - gone.words()[h] as usize;
                    KvType::of(variant).store(cache, row * kv_cols + h * head_dim, head);
                }
            }
        }
    }
}
