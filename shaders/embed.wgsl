// out[t] = table[ids[t]] * scale for the tokens t < state.n_tokens whose id lies in this part of the table;
// seen[id] = 1 for these.
//
// Workgroup (x, y) serves 64 chunks (16 bytes of codes) of token y, a thread one of them.
// Requires: the row stride of out is a multiple of 32; columns beyond cols get the padding's value, 0.

#import quant/LAYOUT
#import lib/state

struct Params {
#import lib/weight_params
    rows: u32,        // rows of this part
    row_start: u32,   // first row of this part in the whole table
    out_quads: u32,   // row stride of out in quads
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w_codes: array<vec4<u32>>;  // [rows, chunks]
@group(0) @binding(2) var<storage, read> w_meta: array<u32>;         // high plane, then scales
@group(0) @binding(3) var<storage, read> ids: array<u32>;            // [n_tokens]
@group(0) @binding(4) var<storage, read> state: State;
@group(0) @binding(5) var<storage, read_write> seen: array<u32>;     // [vocab_size]
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>; // [n_tokens, out_quads]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let chunk = thread.x;
    let token = thread.y;
    if (token >= state.n_tokens || chunk >= params.chunks) {
        return;
    }
    let id = ids[token];
    if (id < params.row_start || id - params.row_start >= params.rows) {
        return;
    }
    if (chunk == 0u) {
        seen[id] = 1u; // tokens with the same id store the same value
    }
    let c = load_chunk(id - params.row_start, chunk);
    let at = token * params.out_quads + chunk * QUADS;
    for (var i = 0u; i < QUADS; i++) {
        out[at + i] = params.scale * chunk_quad(c, i);
    }
}
