// q rotated in place, k rotated into the cache, v copied into the cache, for one token per workgroup row:
// (a, b) at (i, i + n_rot/2) becomes (a cos - b sin, b cos + a sin) with the angle of token position + t, pair i.
// Thread x of token t: first n_heads * n_rot/2 pairs of q (a thread owns both halves, so that in place is safe), then
// n_kv_heads * head_dim/2 pairs of neighbours of k, then as many of v (a thread owns a whole word of an f16 cache).

struct Params {
    stride: u32, // of a row [q; k; v]
    q_pairs: u32, // n_heads * n_rot/2
    kv_pairs: u32, // n_kv_heads * head_dim/2
    n_heads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> qkv: array<f32>; // [n_tokens, stride]
@group(0) @binding(2) var<storage, read> rope: array<vec2<f32>>; // [capacity, n_rot/2]: cos, sin
@group(0) @binding(3) var<storage, read> state: array<u32, 8>; // StepState
#if KV_F32
@group(0) @binding(4) var<storage, read_write> k_cache: array<vec2<f32>>; // [capacity, n_kv_heads*head_dim]
@group(0) @binding(5) var<storage, read_write> v_cache: array<vec2<f32>>;
#else
@group(0) @binding(4) var<storage, read_write> k_cache: array<u32>; // [capacity, n_kv_heads*head_dim], f16 pairs
@group(0) @binding(5) var<storage, read_write> v_cache: array<u32>;
#endif

const HALF: u32 = N_ROT / 2u;

#if KV_F32
fn packed(v: vec2<f32>) -> vec2<f32> {
    return v;
}
#else
fn packed(v: vec2<f32>) -> u32 {
    return pack2x16float(clamp(v, vec2(-65504.0), vec2(65504.0)));
}
#endif

// Element d of the rotated head that starts at `head`.
fn rotated(head: u32, d: u32, angles: u32) -> f32 {
    let x = qkv[head + d];
    if (d >= N_ROT) {
        return x;
    }
    let upper = d >= HALF;
    let pair = select(d, d - HALF, upper);
    let other = qkv[head + select(d + HALF, pair, upper)];
    let turn = rope[angles + pair];
    return x * turn.x + select(-other, other, upper) * turn.y;
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    if (token >= state[1]) {
        return;
    }
    let row = token * params.stride;
    let position = state[0] + token;
    let angles = position * HALF;
    if (id.x < params.q_pairs) {
        let head = id.x / max(HALF, 1u);
        let pair = id.x % max(HALF, 1u);
        let a = row + head * HEAD_DIM + pair;
        let low = qkv[a];
        let high = qkv[a + HALF];
        let turn = rope[angles + pair];
        qkv[a] = low * turn.x - high * turn.y;
        qkv[a + HALF] = high * turn.x + low * turn.y;
        return;
    }
    let k = row + params.n_heads * HEAD_DIM;
    var i = id.x - params.q_pairs;
    if (i < params.kv_pairs) {
        let head = k + 2u * i / HEAD_DIM * HEAD_DIM;
        let d = 2u * i % HEAD_DIM;
        k_cache[position * params.kv_pairs + i] = packed(vec2(rotated(head, d, angles), rotated(head, d + 1u, angles)));
        return;
    }
    i -= params.kv_pairs;
    if (i < params.kv_pairs) {
        let v = k + 2u * (params.kv_pairs + i);
        v_cache[position * params.kv_pairs + i] = packed(vec2(qkv[v], qkv[v + 1u]));
    }
}
