// Layout bf16: a chunk is 8 columns, two bf16 per word. See quant/f32.wgsl for the contract.

const QUADS: u32 = 2u;

struct Chunk {
    codes: vec4<u32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(w_codes[row * params.chunks + chunk]);
}

fn brains(w: vec2<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(w.x << 16u, w.x & 0xFFFF0000u, w.y << 16u, w.y & 0xFFFF0000u));
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    return brains(select(c.codes.zw, c.codes.xy, i == 0u));
}

fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    return dot(brains(c.codes.xy), (*x)[0]) + dot(brains(c.codes.zw), (*x)[1]);
}
