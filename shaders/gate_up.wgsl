// One decode token: out[j] = activation(gate_j + b_j) * (up_j + b_(D_FF + j)), [gate; up] = W RMSNorm(x).
//
// LANES threads share 4 rows: gates j, j + 1 and ups j, j + 1 (ROWS8: 8 rows, four of each), so that both factors of a
// neuron meet in one thread. A workgroup holds GROUPS such teams. See lib/rows for the loads.
// Requires: cols a multiple of 4.

#import quant/LAYOUT
#import lib/lanes
#import lib/rows
#import lib/activation

struct Params {
    chunks: u32,      // 16-byte words of codes per row
    scale_words: u32, // words of scales per row
    scale_base: u32,  // first word of the scales in w_meta
    d_ff: u32,        // half of the rows
    cols: u32,
    eps: f32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w_codes: array<vec4<u32>>;     // [2 * d_ff, chunks]
@group(0) @binding(2) var<storage, read> w_meta: array<u32>;            // high plane, then scales
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;           // [cols / 4]
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>; // [cols / 4]
@group(0) @binding(5) var<storage, read_write> out: array<f32>;         // [d_ff]
#if BIAS
@group(0) @binding(6) var<storage, read> bias: array<f32>;              // [2 * d_ff]
#endif

fn x_quad(quad: u32) -> vec4<f32> {
    return x[quad];
}

fn store(neuron: u32, gate: f32, up: f32) {
    if (neuron >= params.d_ff) {
        return;
    }
#if BIAS
    out[neuron] = activation(gate + bias[neuron]) * (up + bias[params.d_ff + neuron]);
#else
    out[neuron] = activation(gate) * up;
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
    let first = ((workgroup.y * grid.x + workgroup.x) * GROUPS + tid / LANES) * NEURONS;
    let last = params.d_ff - 1u;
#if ROWS8
    let gates = min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(last));
    let sums = lanes_sum(rows_partial(gates, gates + vec4<u32>(params.d_ff), lane), tid, sg);
#else
    let neurons = min(vec2<u32>(first, first + 1u), vec2<u32>(last));
    let rows = vec4<u32>(neurons, neurons + vec2<u32>(params.d_ff));
    let sums = lanes_sum(rows_partial(rows, rows, lane), tid, sg);
#endif
    if (lane != 0u) {
        return;
    }
    let inverse = inverseSqrt(sums.squares / f32(params.cols) + params.eps);
#if ROWS8
    let gate = sums.a * inverse;
    let up = sums.b * inverse;
    store(first, gate.x, up.x);
    store(first + 1u, gate.y, up.y);
    store(first + 2u, gate.z, up.z);
    store(first + 3u, gate.w, up.w);
#else
    let y = sums.a * inverse;
    store(first, y.x, y.z);
    store(first + 1u, y.y, y.w);
#endif
}
