// y = W x (+ bias) (+ y) for M = 1, 2, 4 or 8 tokens with one read of W.
// x is taken as it is, or NORM: RMSNorm(x) * norm_weight, or MERGE: the joined partials of split-KV attention.
//
// LANES threads share ROWS = 4 rows (8: ROWS8) and stride over K in chunks of 16 bytes; a workgroup holds GROUPS such
// teams; workgroup w (grid x fastest) owns rows [w * GROUPS * ROWS, ...) of this part of the matrix.
// Requires: x_stride a multiple of 4 columns; NORM: M = 1, cols a multiple of 4; MERGE: M = 1, HEAD_DIM a multiple of 4, and
// rows enough per workgroup to pay for joining the partials in each.
// LAST_ROW: x row state.n_tokens - 1 gives out row 0.

#import quant/LAYOUT
#import lib/state
#import lib/team
#import lib/lanes
#if MANY
#import lib/rows_many
#else
#import lib/rows
#endif
#if MERGE
#import lib/splits
#import lib/merge
#endif

struct Params {
#import lib/weight_params
    rows: u32,        // rows of this part
    row_start: u32,   // first row of this part in the whole matrix
    x_quads: u32,     // row stride of x in quads
    out_stride: u32,  // row stride of out in elements
    eps: f32,
    n_splits: u32,    // MERGE: splits allocated
    window: u32,      // MERGE: sliding window, 0xFFFFFFFF for none
    out_column: u32,  // column of out for row 0 of the whole matrix
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w_codes: array<vec4<u32>>; // [rows, chunks]
@group(0) @binding(2) var<storage, read> w_meta: array<u32>;        // high plane, then scales
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;       // [M, x_quads]; MERGE: [n_splits, N_HEADS, HEAD_DIM / 4]
@group(0) @binding(4) var<storage, read> state: State;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;     // [M, out_stride]
#if NORM
@group(0) @binding(6) var<storage, read> norm_weight: array<vec4<f32>>; // [cols / 4]
#endif
#if MERGE
@group(0) @binding(6) var<storage, read> stats: array<vec2<f32>>;   // [n_splits, N_HEADS]: max, sum of exponentials
#endif
#if BIAS
#if PLAIN
@group(0) @binding(6) var<storage, read> bias: array<f32>;          // [rows of the whole matrix]
#else
@group(0) @binding(7) var<storage, read> bias: array<f32>;          // [rows of the whole matrix]
#endif
#endif

#if MERGE
fn x_quad(quad: u32) -> vec4<f32> {
    return merged[quad % TILE_QUADS];
}
#else
#if MANY
fn x_quad(token: u32, quad: u32) -> vec4<f32> {
    return x[token * params.x_quads + quad];
}
#else
fn x_quad(quad: u32) -> vec4<f32> {
#if LAST_ROW
    return x[(max(state.n_tokens, 1u) - 1u) * params.x_quads + quad];
#else
    return x[quad];
#endif
}
#endif
#endif

// Stores 4 rows of one token; rows past the end were computed from the last row and are dropped.
fn store(token: u32, row: u32, sum: vec4<f32>) {
    for (var i = 0u; i < 4u && row + i < params.rows; i++) {
        let r = params.row_start + row + i;
        let at = token * params.out_stride + params.out_column + r;
        var y = sum[i];
#if BIAS
        y += bias[r];
#endif
#if ACCUMULATE
        y += out[at];
#endif
        out[at] = y;
    }
}

@compute @workgroup_size(WG)
fn main(at: Invocation) {
    let tid = at.tid;
    let team = team_of(at);
    let row = team.index * ROWS;
    let a = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.rows - 1u));
#if MANY
    let many = rows_many(a, team.lane);
    for (var token = 0u; token < M; token++) {
        var mine = Sums();
        mine.a = many.rows[token];
        let sums = lanes_sum(mine, tid, team.sg);
        if (team.lane == 0u && token < state.n_tokens) {
            store(token, row, sums.a);
        }
    }
#else
    let b = min(a + vec4<u32>(4u), vec4<u32>(params.rows - 1u));
#if MERGE
    let live = active_splits(state.row, params.window, params.n_splits);
    weigh_splits(live, tid);
    var mine = Sums();
    for (var first = 0u; first < params.chunks; first += TILE_QUADS / QUADS) {
        merge_tile(first * QUADS, live, tid);
        workgroupBarrier();
        let end = min(first + TILE_QUADS / QUADS, params.chunks);
        mine = add_sums(mine, rows_partial(a, b, team.lane, first, end));
        workgroupBarrier(); // the next tile overwrites this one
    }
#else
    let mine = rows_partial(a, b, team.lane, 0u, params.chunks);
#endif
    var sums = lanes_sum(mine, tid, team.sg);
#if NORM
    let inverse = inverseSqrt(sums.squares / f32(params.cols) + params.eps);
    sums.a *= inverse;
#if ROWS8
    sums.b *= inverse;
#endif
#endif
    // Every state that reaches decode has n_tokens >= 1; 0 must leave out alone.
    if (team.lane == 0u && state.n_tokens > 0u) {
        store(0u, row, sums.a);
#if ROWS8
        store(0u, row + 4u, sums.b);
#endif
    }
#endif
}
