// out = activation(W_gate n + b_gate) * (W_up n + b_up), n = RMSNorm(x) * norm_weight, for one token.
// The matrix stacks [gate; up].
//
// LANES threads share 4 rows of gate and the same 4 of up and stride over K in chunks of 16 bytes; a workgroup holds
// GROUPS such teams; workgroup w (grid x fastest) owns outputs [w * GROUPS * 4, ...).
// Requires: cols a multiple of 4.

#import quant/LAYOUT
#import lib/team
#import lib/lanes
#import lib/rows
#import lib/activation

struct Params {
#import lib/weight_params
    d_ff: u32,
    eps: f32,
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
fn main(at: Invocation) {
    let team = team_of(at);
    let lane = team.lane;
    let row = team.index * 4u;
    let gate_rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.d_ff - 1u));
    let mine = rows_partial(gate_rows, gate_rows + vec4<u32>(params.d_ff), lane, 0u, params.chunks);
    let sums = lanes_sum(mine, at.tid, team.sg);
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
