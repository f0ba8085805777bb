// q, k, v of one token: y = W RMSNorm(x) * norm_weight + bias, rows [q; k; v]; q and k rotated at state.position:
// (a, b) at (i, i + N_ROT/2) becomes (a cos - b sin, b cos + a sin); q goes to q_out, k and v to row `position` of the
// caches (f16 pairs, or f32 with KV_F32).
//
// LANES threads share ROWS = 4 rows of one head (8: ROWS8, the next four as well) and stride over K in chunks of 16
// bytes; a workgroup holds GROUPS such teams; workgroup w (grid x fastest) owns rows from w * GROUPS * ROWS in this order:
// whole rotary pairs and whole words of an f16 cache, {2j, 2j+1, half+2j, half+2j+1} of a head, half = N_ROT/2, and four
// neighbours beyond N_ROT and in v. ODD_HALF (half is odd, so that partners share no words): of four rows two neighbours
// are stored, the others are their partners: twice the work, for shapes that no known model has.
// Requires: HEAD_DIM a multiple of 4, N_ROT even and at most HEAD_DIM, cols a multiple of 4.
// State and bias are uniforms: 8 storage buffers are taken.

#import quant/LAYOUT
#import lib/lanes
#import lib/rows

struct Params {
    chunks: u32,      // 16-byte words of codes per row
    scale_words: u32, // words of scales per row
    scale_base: u32,  // first word of the scales in w_meta
    cols: u32,
    q_heads: u32,
    k_heads: u32,
    v_heads: u32,
    eps: f32,
}

struct State {
    position: u32,
    n_tokens: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w_codes: array<vec4<u32>>;     // [(q_heads + k_heads + v_heads) * HEAD_DIM, chunks]
@group(0) @binding(2) var<storage, read> w_meta: array<u32>;            // high plane, then scales
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;           // [cols / 4]
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>; // [cols / 4]
@group(0) @binding(5) var<storage, read> rope: array<vec2<f32>>;        // [capacity, N_ROT / 2]: cos, sin
@group(0) @binding(6) var<uniform> state: State;
@group(0) @binding(7) var<storage, read_write> q_out: array<f32>;       // [q_heads * HEAD_DIM]
#if KV_F32
@group(0) @binding(8) var<storage, read_write> k_cache: array<vec2<f32>>; // [capacity, k_heads * HEAD_DIM / 2]
@group(0) @binding(9) var<storage, read_write> v_cache: array<vec2<f32>>; // [capacity, v_heads * HEAD_DIM / 2]
#else
@group(0) @binding(8) var<storage, read_write> k_cache: array<u32>;     // [capacity, k_heads * HEAD_DIM / 2]
@group(0) @binding(9) var<storage, read_write> v_cache: array<u32>;     // [capacity, v_heads * HEAD_DIM / 2]
#endif
#if BIAS
@group(0) @binding(10) var<uniform> bias: array<vec4<f32>, BIAS_QUADS>; // [(q_heads + k_heads + v_heads) * HEAD_DIM / 4]
#endif

const HALF: u32 = N_ROT / 2u;
#if ODD_HALF
const OWNED_PER_HEAD: u32 = HEAD_DIM / 2u;
#else
const OWNED_PER_HEAD: u32 = HEAD_DIM / 4u;
#endif

fn x_quad(quad: u32) -> vec4<f32> {
    return x[quad];
}

#if KV_F32
fn packed(v: vec2<f32>) -> vec2<f32> {
    return v;
}
#else
fn packed(v: vec2<f32>) -> u32 {
    return pack2x16float(clamp(v, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
}
#endif

#if ODD_HALF
// The partner of dimension d, or d itself when it is not rotated.
fn partner(d: u32, rotates: bool) -> u32 {
    if (!rotates || d >= N_ROT) {
        return d;
    }
    return select(d + HALF, d - HALF, d >= HALF);
}
#endif

// The dimensions of the j-th four rows of a head; with ODD_HALF two dimensions and their partners.
fn dimensions(j: u32, rotates: bool) -> vec4<u32> {
#if ODD_HALF
    return vec4<u32>(2u * j, 2u * j + 1u, partner(2u * j, rotates), partner(2u * j + 1u, rotates));
#else
    if (rotates && j < N_ROT / 4u) {
        return vec4<u32>(2u * j, 2u * j + 1u, HALF + 2u * j, HALF + 2u * j + 1u);
    }
    return vec4<u32>(4u * j, 4u * j + 1u, 4u * j + 2u, 4u * j + 3u);
#endif
}

// y, rotated; dims as from `dimensions`.
fn rotated(y: vec4<f32>, dims: vec4<u32>) -> vec4<f32> {
    let angles = state.position * HALF;
#if ODD_HALF
    var r = y;
    for (var i = 0u; i < 2u; i++) {
        if (dims[i] < N_ROT) {
            let turn = rope[angles + min(dims[i], dims[i + 2u])];
            r[i] = y[i] * turn.x + select(-1.0, 1.0, dims[i] >= HALF) * y[i + 2u] * turn.y;
        }
    }
    return r;
#else
    if (dims.x >= HALF) {
        return y; // beyond N_ROT
    }
    let a = rope[angles + dims.x];
    let b = rope[angles + dims.y];
    let c = vec2<f32>(a.x, b.x);
    let s = vec2<f32>(a.y, b.y);
    return vec4<f32>(y.xy * c - y.zw * s, y.zw * c + y.xy * s);
#endif
}

// Stores two neighbours at an even element of head `head` (over all of q, k, v).
fn store(head: u32, d: u32, v: vec2<f32>) {
    let k_head = head - params.q_heads; // wraps below
    let v_head = k_head - params.k_heads;
    if (head < params.q_heads) {
        q_out[head * HEAD_DIM + d] = v.x;
        q_out[head * HEAD_DIM + d + 1u] = v.y;
    } else if (k_head < params.k_heads) {
        k_cache[((state.position * params.k_heads + k_head) * HEAD_DIM + d) / 2u] = packed(v);
    } else {
        v_cache[((state.position * params.v_heads + v_head) * HEAD_DIM + d) / 2u] = packed(v);
    }
}

// What a team works on: 4 rows of one head.
struct Owned {
    head: u32, // over all of q, k, v
    rotates: bool,
    dims: vec4<u32>,
}

fn owned(index: u32, heads: u32) -> Owned {
    let head = min(index / OWNED_PER_HEAD, heads - 1u);
    let rotates = head < params.q_heads + params.k_heads;
    return Owned(head, rotates, dimensions(index % OWNED_PER_HEAD, rotates));
}

// Bias, rotation, store.
fn finish(o: Owned, sums: vec4<f32>) {
    var y = sums;
#if BIAS
    for (var i = 0u; i < 4u; i++) {
        let row = o.head * HEAD_DIM + o.dims[i];
        y[i] += bias[row / 4u][row % 4u];
    }
#endif
    if (o.rotates) {
        y = rotated(y, o.dims);
    }
    store(o.head, o.dims.x, y.xy);
#if !ODD_HALF
    store(o.head, o.dims.z, y.zw);
#endif
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) tid: u32,
#if SUBGROUPS
    @builtin(subgroup_size) sg: u32,
#endif
) {
#if !SUBGROUPS
    let sg = 1u;
#endif
    let lane = tid % LANES;
    let heads = params.q_heads + params.k_heads + params.v_heads;
    let first = ((workgroup.y * grid.x + workgroup.x) * GROUPS + tid / LANES) * ROWS / 4u;
    let a = owned(first, heads);
    let b = owned(first + 1u, heads);
    let a_rows = a.dims + vec4<u32>(a.head * HEAD_DIM);
    let b_rows = b.dims + vec4<u32>(b.head * HEAD_DIM);
    let sums = lanes_sum(rows_partial(a_rows, b_rows, lane, 0u, params.chunks), tid, sg);
    let inverse = inverseSqrt(sums.squares / f32(params.cols) + params.eps);
    if (lane == 0u && first < heads * OWNED_PER_HEAD) {
        finish(a, sums.a * inverse);
    }
#if ROWS8
    if (lane == 1u && first + 1u < heads * OWNED_PER_HEAD) {
        finish(b, sums.b * inverse);
    }
#endif
}
