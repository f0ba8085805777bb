// q, k, v of one token: y = W RMSNorm(x) * norm_weight + bias, rows [q; k; v]; q and k rotated at state.position:
// (a, b) at (i, i + N_ROT/2) becomes (a cos - b sin, b cos + a sin); q goes to q_out, k and v of KV head h to row
// `row - gone[h]` of the caches (f16 pairs, or f32 with KV_F32). QK_NORM: q and k are normalised before they turn, each
// head by itself: y * rsqrt(mean(y^2) + eps) * weight; a workgroup then owns exactly one head (GROUPS * ROWS = HEAD_DIM).
//
// LANES threads share ROWS = 4 rows of one head (8: ROWS8, the next four as well) and stride over K in chunks of 16
// bytes; a workgroup holds GROUPS such teams; workgroup w (grid x fastest) owns rows from w * GROUPS * ROWS in this order:
// whole rotary pairs and whole words of an f16 cache, {2j, 2j+1, half+2j, half+2j+1} of a head, half = N_ROT/2, and four
// neighbours beyond N_ROT and in v. ODD_HALF (half is odd, so that partners share no words): of four rows two neighbours
// are stored, the others are their partners: twice the work, for shapes that no known model has.
// Requires: HEAD_DIM a multiple of 4, N_ROT even and at most HEAD_DIM, cols a multiple of 4.
// State, gone, bias and qk_norm are uniforms: 8 storage buffers are taken.

#import quant/LAYOUT
#import lib/kv_pair
#import lib/state
#import lib/team
#import lib/lanes
#import lib/rows
#import lib/rotary

struct Params {
#import lib/weight_params
    q_heads: u32,
    k_heads: u32,
    v_heads: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w_codes: array<vec4<u32>>;     // [(q_heads + k_heads + v_heads) * HEAD_DIM, chunks]
@group(0) @binding(2) var<storage, read> w_meta: array<u32>;            // high plane, then scales
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;           // [cols / 4]
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>; // [cols / 4]
@group(0) @binding(5) var<storage, read> rope: array<vec2<f32>>;        // [capacity, N_ROT / 2]: cos, sin
@group(0) @binding(6) var<uniform> state: State;
@group(0) @binding(7) var<storage, read_write> q_out: array<f32>;       // [q_heads * HEAD_DIM]
@group(0) @binding(8) var<storage, read_write> k_cache: array<KvPair>;  // [capacity, k_heads * HEAD_DIM / 2]
@group(0) @binding(9) var<storage, read_write> v_cache: array<KvPair>;  // [capacity, v_heads * HEAD_DIM / 2]
@group(0) @binding(10) var<uniform> gone: array<vec4<u32>, GONE_QUADS>; // [KV heads / 4]: rows that are no longer there
#if BIAS
@group(0) @binding(11) var<uniform> bias: array<vec4<f32>, BIAS_QUADS>; // [(q_heads + k_heads + v_heads) * HEAD_DIM / 4]
#endif
#if QK_NORM
#if BIAS
@group(0) @binding(12) var<uniform> qk_norm: array<vec4<f32>, HEAD_DIM / 2u>; // of q, of k
#else
@group(0) @binding(11) var<uniform> qk_norm: array<vec4<f32>, HEAD_DIM / 2u>; // of q, of k
#endif
#endif

fn x_quad(quad: u32) -> vec4<f32> {
    return x[quad];
}

// Stores two neighbours at an even element of head `head` (over all of q, k, v).
fn store(head: u32, d: u32, v: vec2<f32>) {
    if (head < params.q_heads) {
        q_out[head * HEAD_DIM + d] = v.x;
        q_out[head * HEAD_DIM + d + 1u] = v.y;
        return;
    }
    let k_head = head - params.q_heads;
    if (k_head < params.k_heads) {
        let row = state.row - gone[k_head / 4u][k_head % 4u];
        k_cache[((row * params.k_heads + k_head) * HEAD_DIM + d) / 2u] = kv_pair(v);
    } else {
        let v_head = k_head - params.k_heads;
        let row = state.row - gone[v_head / 4u][v_head % 4u];
        v_cache[((row * params.v_heads + v_head) * HEAD_DIM + d) / 2u] = kv_pair(v);
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

fn biased(o: Owned, sums: vec4<f32>) -> vec4<f32> {
    var y = sums;
#if BIAS
    for (var i = 0u; i < 4u; i++) {
        let row = o.head * HEAD_DIM + o.dims[i];
        y[i] += bias[row / 4u][row % 4u];
    }
#endif
    return y;
}

#if QK_NORM
var<workgroup> team_squares: array<f32, GROUPS>;

// 1 / root mean square of the head that the workgroup owns.
fn head_gain() -> f32 {
    var squares = 0.0;
    for (var i = 0u; i < GROUPS; i++) {
        squares += team_squares[i];
    }
    return inverseSqrt(squares / f32(HEAD_DIM) + params.eps);
}

fn normalised(o: Owned, y: vec4<f32>, gain: f32) -> vec4<f32> {
    if (!o.rotates) {
        return y; // v
    }
    var r = y * gain;
    for (var i = 0u; i < 4u; i++) {
        let d = o.dims[i] + select(HEAD_DIM, 0u, o.head < params.q_heads);
        r[i] *= qk_norm[d / 4u][d % 4u];
    }
    return r;
}
#endif

// Rotation, store.
fn finish(o: Owned, sums: vec4<f32>) {
    var y = sums;
    if (o.rotates) {
        y = rotated(y, o.dims, state.position);
    }
    store(o.head, o.dims.x, y.xy);
#if !ODD_HALF
    store(o.head, o.dims.z, y.zw);
#endif
}

@compute @workgroup_size(WG)
fn main(at: Invocation) {
    let team = team_of(at);
    let heads = params.q_heads + params.k_heads + params.v_heads;
    let first = team.index * ROWS / 4u;
    let a = owned(first, heads);
    let b = owned(first + 1u, heads);
    let a_rows = a.dims + vec4<u32>(a.head * HEAD_DIM);
    let b_rows = b.dims + vec4<u32>(b.head * HEAD_DIM);
    let sums = lanes_sum(rows_partial(a_rows, b_rows, team.lane, 0u, params.chunks), at.tid, team.sg);
    let inverse = inverseSqrt(sums.squares / f32(params.cols) + params.eps);
    var y = biased(a, sums.a * inverse);
#if ROWS8
    var z = biased(b, sums.b * inverse);
#endif
#if QK_NORM
    if (team.lane == 0u) {
        var squares = dot(y, y);
#if ROWS8
        squares += dot(z, z);
#endif
        team_squares[at.tid / LANES] = squares;
    }
    workgroupBarrier();
    let gain = head_gain();
    y = normalised(a, y, gain);
#if ROWS8
    z = normalised(b, z, gain);
#endif
#endif
    if (team.lane == 0u && first < heads * OWNED_PER_HEAD) {
        finish(a, y);
    }
#if ROWS8
    if (team.lane == 1u && first + 1u < heads * OWNED_PER_HEAD) {
        finish(b, z);
    }
#endif
}
