// Layout f16: a chunk is 8 columns, two f16 per word. See quant/f32.wgsl for the contract.

const QUADS: u32 = 2u;

struct Chunk {
    codes: vec4<u32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(w_codes[row * params.chunks + chunk]);
}

fn halves(w: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y));
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    return halves(select(c.codes.zw, c.codes.xy, i == 0u));
}

fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    return dot(halves(c.codes.xy), (*x)[0]) + dot(halves(c.codes.zw), (*x)[1]);
}
