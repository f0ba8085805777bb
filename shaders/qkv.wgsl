// One decode token: [q; k; v] = W RMSNorm(x), rope on q and k, k and v into the cache at row state.position.
//
// LANES threads share 4 rows that hold whole cache words and whole rotary pairs: dims (2j, 2j+1, 2j+HALF, 2j+1+HALF) of a
// head where it rotates, four consecutive dims elsewhere. A workgroup holds GROUPS such teams; the teams of a head are
// consecutive. See lib/rows for the loads.
// Requires: HEAD_DIM a multiple of 4, HALF = n_rot / 2 even, cols a multiple of 4.

#import quant/LAYOUT
#import lib/lanes
#import lib/rows

struct Params {
    chunks: u32,      // 16-byte words of codes per row
    scale_words: u32, // words of scales per row
    scale_base: u32,  // first word of the scales in w_meta
    rows: u32,
    cols: u32,
    q_heads: u32,
    k_heads: u32,
    v_heads: u32,
    eps: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

struct State {
    position: u32,
    n_tokens: u32,
    draws: u32,
    reserved0: u32,
    reserved1: u32,
    reserved2: u32,
    reserved3: u32,
    reserved4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w_codes: array<vec4<u32>>;     // [rows, chunks]
@group(0) @binding(2) var<storage, read> w_meta: array<u32>;            // high plane, then scales
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;           // [cols / 4]
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>; // [cols / 4]
@group(0) @binding(5) var<storage, read> rope: array<vec2<f32>>;        // [capacity, HALF]: cos, sin
@group(0) @binding(6) var<uniform> state: State;
@group(0) @binding(7) var<storage, read_write> q_out: array<f32>;       // [q_heads, HEAD_DIM]
#if KV_F16
@group(0) @binding(8) var<storage, read_write> k_cache: array<u32>;     // [capacity, k_heads, HEAD_DIM / 2]
@group(0) @binding(9) var<storage, read_write> v_cache: array<u32>;     // [capacity, v_heads, HEAD_DIM / 2]
#else
@group(0) @binding(8) var<storage, read_write> k_cache: array<f32>;     // [capacity, k_heads, HEAD_DIM]
@group(0) @binding(9) var<storage, read_write> v_cache: array<f32>;     // [capacity, v_heads, HEAD_DIM]
#endif

fn x_quad(quad: u32) -> vec4<f32> {
    return x[quad];
}

// The cache stays finite: beyond the range of f16 the largest value is stored, as in rope_kv.
fn half2(y: vec2<f32>) -> u32 {
    return pack2x16float(clamp(y, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
}

// Elements at and at + 1 hold y.xy, elements far and far + 1 hold y.zw.
fn store_k(at: u32, far: u32, y: vec4<f32>) {
#if KV_F16
    k_cache[at / 2u] = half2(y.xy);
    k_cache[far / 2u] = half2(y.zw);
#else
    k_cache[at] = y.x;
    k_cache[at + 1u] = y.y;
    k_cache[far] = y.z;
    k_cache[far + 1u] = y.w;
#endif
}

fn store_v(at: u32, y: vec4<f32>) {
#if KV_F16
    v_cache[at / 2u] = half2(y.xy);
    v_cache[at / 2u + 1u] = half2(y.zw);
#else
    v_cache[at] = y.x;
    v_cache[at + 1u] = y.y;
    v_cache[at + 2u] = y.z;
    v_cache[at + 3u] = y.w;
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
    let team = (workgroup.y * grid.x + workgroup.x) * GROUPS + tid / LANES;
    let head = team / (HEAD_DIM / 4u);
    let part = team % (HEAD_DIM / 4u);
    let q_or_k = params.q_heads + params.k_heads;
    let rotates = head < q_or_k && part < HALF / 2u;
    // dims of the four rows: near, near + 1, far, far + 1
    let near = select(4u * part, 2u * part, rotates);
    let far = select(near + 2u, near + HALF, rotates);
    let first = head * HEAD_DIM;
    let rows = vec4<u32>(first + near, first + near + 1u, first + far, first + far + 1u);
    let a = min(rows, vec4<u32>(params.rows - 1u));
    let sums = lanes_sum(rows_partial(a, a, lane), tid, sg);
    if (lane != 0u || head >= q_or_k + params.v_heads) {
        return;
    }
    var y = sums.a * inverseSqrt(sums.squares / f32(params.cols) + params.eps);
    if (rotates) {
        let r0 = rope[state.position * HALF + near];
        let r1 = rope[state.position * HALF + near + 1u];
        y = vec4<f32>(
            y.x * r0.x - y.z * r0.y,
            y.y * r1.x - y.w * r1.y,
            y.z * r0.x + y.x * r0.y,
            y.w * r1.x + y.y * r1.y,
        );
    }
    if (head < params.q_heads) {
        q_out[first + near] = y.x;
        q_out[first + near + 1u] = y.y;
        q_out[first + far] = y.z;
        q_out[first + far + 1u] = y.w;
    } else if (head < q_or_k) {
        let row = (state.position * params.k_heads + head - params.q_heads) * HEAD_DIM;
        store_k(row + near, row + far, y);
    } else {
        let row = (state.position * params.v_heads + head - q_or_k) * HEAD_DIM;
        store_v(row + near, y);
    }
}
