//! Rotates q in place and writes rotated k and plain v into the cache; before that normalises each head of q and k,
//! where the model does.

use super::fixture::{Fixture, Rng};
use super::params::{self, Field, params};
use super::{Access, Bind, Caps, Case, Kernel, KvType, OutputKind, Slot, Step, StepState, Variant, reference};

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
        variant: Variant::new("rope_kv", &Caps::BASE)
            .flag("KV_F32", args.kv_type == KvType::F32)
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
                    reference::store_cache(cache, variant, row * kv_cols + h * head_dim, head);
                }
            }
        }
    }
    fn cases(&self, caps: &Caps) -> Vec<Case> {
        // n_heads, n_kv_heads, head_dim, n_rot, position, tokens, bucket
        let shapes = [
            (2, 1, 8, 8, 0, 1, 1),
            (3, 1, 12, 6, 5, 2, 4), // an odd number of pairs: halves of a pair lie in different halves of words
            (4, 2, 16, 0, 3, 3, 4), // no rope
            (9, 3, 64, 64, 63, 3, 4),
            (4, 2, 80, 32, 64, 5, 8),
            (2, 1, 256, 256, 300, 2, 2),
        ];
        let mut cases = Vec::new();
        for (kv_type, qk_norm) in [(KvType::F16, false), (KvType::F32, false), (KvType::F16, true), (KvType::F32, true)]
        {
            for (n_heads, n_kv_heads, head_dim, n_rot, position, tokens, bucket) in shapes {
                let mut f = Fixture::default();
                let mut rng = Rng::new(u64::from(head_dim));
                let (row, capacity) = (position + 3, position + 3 + tokens);
                let stride = (n_heads + 2 * n_kv_heads) * head_dim + 4;
                let turns = (0..capacity * n_rot / 2).flat_map(|i| {
                    let angle = f64::from(i) * 0.37;
                    [angle.cos() as f32, angle.sin() as f32]
                });
                let turns: Vec<f32> = turns.chain([1.0, 0.0]).collect(); // not empty without rope
                let mut x = rng.spiky((bucket * stride) as usize);
                x[((n_heads + n_kv_heads) * head_dim) as usize] = -1e5; // v beyond f16
                let cache_words =
                    (capacity * n_kv_heads * head_dim) as usize / if kv_type == KvType::F16 { 2 } else { 1 };
                let args = Args {
                    qkv: f.f32s_with_margin(&x),
                    stride,
                    rope: f.f32s(&turns),
                    qk_norm: qk_norm.then(|| f.f32s(&rng.spiky(2 * head_dim as usize))),
                    eps: 1e-5,
                    state: f.state_at(position, row, tokens),
                    gone: f.gone(row, n_kv_heads),
                    k_cache: f.output(cache_words),
                    v_cache: f.output(cache_words),
                    kv_type,
                    n_heads,
                    n_kv_heads,
                    head_dim,
                    n_rot,
                    n_tokens: bucket,
                };
                // f16: WGSL leaves the direction of rounding open (one unit in the last of 11 bits), and a difference of
                // products may cancel; f32: three roundings.
                let (output, atol, rtol) = match kv_type {
                    KvType::F16 => (OutputKind::F32ThenF16, 4e-6, 1.05e-3),
                    KvType::F32 => (OutputKind::F32, 4e-6, 1e-6),
                };
                cases.push(f.case(step(caps, "rope_kv", &args), output, atol, rtol));
            }
        }
        cases
    }
}
