// out[t, out_first + r] = dot(x[t], W[r]) (+ bias[bias_first + r]) (+ the old value), for t < state.n_tokens and the
// rows r of one matrix part. A workgroup computes TILE_T tokens x TILE_R rows, a thread 4 tokens x 4 * QUADS_R rows.
// TILE_T / 4 and TILE_R / (4 * QUADS_R) are multiples of 8; WG is their product.

#import quant/LAYOUT
#import lib/state

struct Params {
#import lib/weight_params
    rows: u32, // of this part
    x_stride4: u32, // row stride of x / 4
    out_stride: u32,
    out_first: u32, // column of `out` of row 0 of this part
    bias_first: u32, // element of `bias` of row 0 of this part
    accumulate: u32, // 1: add to the old contents of `out`
    has_bias: u32, // 0: `bias` is bound to anything
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w_codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> w_meta: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>; // [n_tokens, x_stride]
@group(0) @binding(4) var<storage, read> state: State;
@group(0) @binding(5) var<storage, read_write> out: array<f32>; // [n_tokens, out_stride]
@group(0) @binding(6) var<storage, read> bias: array<f32>; // [rows of the whole matrix]

const UNIT_QUADS: u32 = 8u; // K advances by a unit of 32 columns
const UNIT_CHUNKS: u32 = UNIT_QUADS / QUADS;
const LANES_R: u32 = TILE_R / (4u * QUADS_R); // threads along the rows
const LANES_T: u32 = TILE_T / 4u; // threads along the tokens

// Tiles by quad of columns, then token or row. The xor spreads the eight quads of one token or row over the banks, so
// that filling (quads vary across threads) is as free of conflicts as reading (tokens or rows vary).
var<workgroup> x_tile: array<vec4<f32>, UNIT_QUADS * TILE_T>;
var<workgroup> w_tile: array<vec4<f32>, UNIT_QUADS * TILE_R>;

// Four columns of 4 tokens (k0 holds the first column of each) times the same four columns of one row.
fn dots(
    k0: vec4<f32>,
    k1: vec4<f32>,
    k2: vec4<f32>,
    k3: vec4<f32>,
    w: vec4<f32>,
    sum: vec4<f32>,
) -> vec4<f32> {
    let low = fma(k1, vec4<f32>(w.y), fma(k0, vec4<f32>(w.x), sum));
    return fma(k3, vec4<f32>(w.w), fma(k2, vec4<f32>(w.z), low));
}

// One row of this part for the 4 tokens first_t, first_t + LANES_T, ...
fn store(row: u32, first_t: u32, n_tokens: u32, sum: vec4<f32>) {
    if (row >= params.rows) {
        return;
    }
    var value = sum;
    if (params.has_bias != 0u) {
        value += bias[params.bias_first + row];
    }
    for (var i = 0u; i < 4u; i++) {
        let token = first_t + i * LANES_T;
        if (token < n_tokens) {
            let at = token * params.out_stride + params.out_first + row;
            if (params.accumulate != 0u) {
                out[at] += value[i];
            } else {
                out[at] = value[i];
            }
        }
    }
}

// Token tiles along x: those that share a tile of rows run together and read the weights from memory once.
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
    let n_tokens = state.n_tokens;
    let tile_t = group.x * TILE_T;
    let tile_r = group.y * TILE_R;
    if (tile_t >= n_tokens) {
        return;
    }
    let lane_r = tid % LANES_R;
    let lane_t = tid / LANES_R;
    // Sums by row; the components are the tokens.
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
#if WIDE
    var s4 = vec4<f32>();
    var s5 = vec4<f32>();
    var s6 = vec4<f32>();
    var s7 = vec4<f32>();
#endif
    let units = (params.cols + 31u) / 32u;
    for (var unit = 0u; unit < units; unit++) {
        workgroupBarrier();
        // Tokens and rows beyond the end repeat the last one; they are never stored.
        for (var i = tid; i < UNIT_QUADS * TILE_T; i += WG) {
            let quad = i % UNIT_QUADS;
            let t = i / UNIT_QUADS;
            let token = min(tile_t + t, n_tokens - 1u);
            x_tile[quad * TILE_T + (t ^ quad)] = x[token * params.x_stride4 + unit * UNIT_QUADS + quad];
        }
        for (var i = tid; i < UNIT_CHUNKS * TILE_R; i += WG) {
            let part = i % UNIT_CHUNKS;
            let r = i / UNIT_CHUNKS;
            let chunk = load_chunk(min(tile_r + r, params.rows - 1u), unit * UNIT_CHUNKS + part);
            for (var j = 0u; j < QUADS; j++) {
                let quad = part * QUADS + j;
                w_tile[quad * TILE_R + (r ^ quad)] = chunk_quad(chunk, j);
            }
        }
        workgroupBarrier();
        for (var quad = 0u; quad < UNIT_QUADS; quad++) {
            let xt = quad * TILE_T + (lane_t ^ quad);
            let x0 = x_tile[xt];
            let x1 = x_tile[xt + LANES_T];
            let x2 = x_tile[xt + 2u * LANES_T];
            let x3 = x_tile[xt + 3u * LANES_T];
            let k0 = vec4<f32>(x0.x, x1.x, x2.x, x3.x);
            let k1 = vec4<f32>(x0.y, x1.y, x2.y, x3.y);
            let k2 = vec4<f32>(x0.z, x1.z, x2.z, x3.z);
            let k3 = vec4<f32>(x0.w, x1.w, x2.w, x3.w);
            let wt = quad * TILE_R + (lane_r ^ quad);
            s0 = dots(k0, k1, k2, k3, w_tile[wt], s0);
            s1 = dots(k0, k1, k2, k3, w_tile[wt + LANES_R], s1);
            s2 = dots(k0, k1, k2, k3, w_tile[wt + 2u * LANES_R], s2);
            s3 = dots(k0, k1, k2, k3, w_tile[wt + 3u * LANES_R], s3);
#if WIDE
            s4 = dots(k0, k1, k2, k3, w_tile[wt + 4u * LANES_R], s4);
            s5 = dots(k0, k1, k2, k3, w_tile[wt + 5u * LANES_R], s5);
            s6 = dots(k0, k1, k2, k3, w_tile[wt + 6u * LANES_R], s6);
            s7 = dots(k0, k1, k2, k3, w_tile[wt + 7u * LANES_R], s7);
#endif
        }
    }
    let row = tile_r + lane_r;
    let token = tile_t + lane_t;
    store(row, token, n_tokens, s0);
    store(row + LANES_R, token, n_tokens, s1);
    store(row + 2u * LANES_R, token, n_tokens, s2);
    store(row + 3u * LANES_R, token, n_tokens, s3);
#if WIDE
    store(row + 4u * LANES_R, token, n_tokens, s4);
    store(row + 5u * LANES_R, token, n_tokens, s5);
    store(row + 6u * LANES_R, token, n_tokens, s6);
    store(row + 7u * LANES_R, token, n_tokens, s7);
#endif
}
