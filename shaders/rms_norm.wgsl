// out[t] = x[t] * rsqrt(mean(x[t]^2) + eps) * weight; ACCUMULATE: added to the old out[t].
// One workgroup per token. d_model and the strides are multiples of 4.

#import lib/reduce
#import lib/state

struct Params {
    columns4: u32, // d_model / 4
    x_stride4: u32, // row stride of x / 4
    out_stride4: u32,
    eps: f32,
    inv_columns: f32, // 1 / d_model
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [n_tokens, x_stride]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>; // [d_model]
@group(0) @binding(3) var<storage, read> state: State;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [n_tokens, out_stride]

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) tid: u32,
#if SUBGROUPS
    @builtin(subgroup_size) sg: u32,
#endif
) {
#if !SUBGROUPS
    let sg = 1u;
#endif
    if (group.x >= state.n_tokens) {
        return;
    }
    let row = group.x * params.x_stride4;
    let out_row = group.x * params.out_stride4;
    var squares = 0.0;
    for (var i = tid; i < params.columns4; i += WG) {
        let v = x[row + i];
        squares += dot(v, v);
    }
    let mean = workgroup_sum(squares, tid, sg) * params.inv_columns;
    let gain = inverseSqrt(mean + params.eps);
    for (var i = tid; i < params.columns4; i += WG) {
        let y = x[row + i] * gain * weight[i];
#if ACCUMULATE
        out[out_row + i] += y;
#else
        out[out_row + i] = y;
#endif
    }
}
