// out = activation(W_gate n + b_gate) * (W_up n + b_up), n = RMSNorm(x) * norm_weight, for one token.
// The matrix stacks [gate; up].
//
// LANES threads share 4 rows of gate and the same 4 of up and stride over K in chunks of 16 bytes; a workgroup holds
// GROUPS such teams; workgroup w (grid x fastest) owns outputs [w * GROUPS * 4, ...).
// Requires: cols a multiple of 4.

#import quant/LAYOUT
#import lib/lanes
#import lib/rows
#import lib/activation

struct Params {
    chunks: u32,      // 16-byte words of codes per row
    scale_words: u32, // words of scales per row
    scale_base: u32,  // first word of the scales in w_meta
    d_ff: u32,
    cols: u32,
    eps: f32,
    reserved0: u32,
    reserved1: u32,
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
    let row = ((workgroup.y * grid.x + workgroup.x) * GROUPS + tid / LANES) * 4u;
    let gate_rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.d_ff - 1u));
    let sums = lanes_sum(rows_partial(gate_rows, gate_rows + vec4<u32>(params.d_ff), lane, 0u, params.chunks), tid, sg);
    let inverse = inverseSqrt(sums.squares / f32(params.cols) + params.eps);
    if (lane < 4u && row + lane < params.d_ff) {
        var gate = sums.a[lane] * inverse;
        var up = sums.b[lane] * inverse;
#if BIAS
        gate += bias[row + lane];
        up += bias[params.d_ff + row + lane];
#endif
        out[row + lane] = activation(gate) * up;
    }
}
