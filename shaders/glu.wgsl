// out[t, j] = activation(gate[t, j]) * up[t, j]
// Thread (x, t) makes four neurons of token t. d_ff and the strides are multiples of 4.

#import lib/activation
#import lib/state

struct Params {
    neurons4: u32, // d_ff / 4
    in_stride4: u32,
    out_stride4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate_up: array<vec4<f32>>; // [n_tokens, in_stride]: row = [gate; up]
@group(0) @binding(2) var<storage, read> state: State;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [n_tokens, out_stride]

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.y >= state.n_tokens || id.x >= params.neurons4) {
        return;
    }
    let at = id.y * params.in_stride4 + id.x;
    let gate = gate_up[at];
    let act = vec4<f32>(activation(gate.x), activation(gate.y), activation(gate.z), activation(gate.w));
    out[id.y * params.out_stride4 + id.x] = act * gate_up[at + params.neurons4];
}
