// q rotated in place, k rotated into the cache, v copied into the cache: (a, b) at (i, i + N_ROT/2) becomes
// (a cos - b sin, b cos + a sin) with the angle of token position + t, pair i. QK_NORM: q and k are first normalised,
// each head by itself: x * rsqrt(mean(x^2) + eps) * weight.
// Token t of KV head h goes to row `row + t - gone[h]`.
// Workgroup (head over [q; k; v], token); the head passes through workgroup memory, so that in place is safe.

#import lib/kv_pair
#import lib/reduce
#import lib/state

struct Params {
    stride: u32, // of a row [q; k; v]
    n_heads: u32,
    n_kv_heads: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> qkv: array<f32>; // [n_tokens, stride]
@group(0) @binding(2) var<storage, read> rope: array<vec2<f32>>; // [capacity, N_ROT / 2]: cos, sin
@group(0) @binding(3) var<storage, read> state: State;
@group(0) @binding(4) var<storage, read> gone: array<u32>; // [n_kv_heads]: rows that are no longer there
@group(0) @binding(5) var<storage, read_write> k_cache: array<KvPair>; // [capacity, n_kv_heads * HEAD_DIM / 2]
@group(0) @binding(6) var<storage, read_write> v_cache: array<KvPair>;
#if QK_NORM
@group(0) @binding(7) var<storage, read> qk_norm: array<f32>; // [2 * HEAD_DIM]: of q, of k
#endif

const HALF: u32 = N_ROT / 2u;
const PAIRS: u32 = HEAD_DIM / 2u;

var<workgroup> values: array<f32, HEAD_DIM>;

// Dimension d, rotated.
fn rotated(d: u32, angles: u32) -> f32 {
    let x = values[d];
    if (d >= N_ROT) {
        return x;
    }
    let upper = d >= HALF;
    let pair = select(d, d - HALF, upper);
    let other = values[select(d + HALF, pair, upper)];
    let turn = rope[angles + pair];
    return x * turn.x + select(-other, other, upper) * turn.y;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
    let head = group.x;
    let token = group.y;
    if (token >= state.n_tokens) {
        return;
    }
    let first = token * params.stride + head * HEAD_DIM;
    for (var d = tid; d < HEAD_DIM; d += WG) {
        values[d] = qkv[first + d];
    }
    workgroupBarrier();
    let k_head = head - params.n_heads; // wraps for q
    let is_q = head < params.n_heads;
    let is_v = !is_q && k_head >= params.n_kv_heads;
#if QK_NORM
    var squares = 0.0;
    for (var d = tid; d < HEAD_DIM; d += WG) {
        squares += values[d] * values[d];
    }
    let gain = inverseSqrt(workgroup_sum(squares, tid, 1u) / f32(HEAD_DIM) + params.eps);
    if (!is_v) {
        let weights = select(HEAD_DIM, 0u, is_q);
        for (var d = tid; d < HEAD_DIM; d += WG) {
            values[d] *= gain * qk_norm[weights + d];
        }
    }
    workgroupBarrier();
#endif
    let angles = (state.position + token) * HALF;
    for (var i = tid; i < PAIRS; i += WG) {
        let d = 2u * i;
        if (is_v) {
            let v_head = k_head - params.n_kv_heads;
            let row = state.row + token - gone[v_head];
            v_cache[(row * params.n_kv_heads + v_head) * PAIRS + i] = kv_pair(vec2<f32>(values[d], values[d + 1u]));
            continue;
        }
        let turned = vec2<f32>(rotated(d, angles), rotated(d + 1u, angles));
        if (is_q) {
            qkv[first + d] = turned.x;
            qkv[first + d + 1u] = turned.y;
        } else {
            let row = state.row + token - gone[k_head];
            k_cache[(row * params.n_kv_heads + k_head) * PAIRS + i] = kv_pair(turned);
        }
    }
}
