// Layout ga5_k: as ga4_k, with a fifth bit from the high plane.
// See quant/f32.wgsl for the contract.
#import lib/codes
#import lib/scales

const QUADS: u32 = 8u;

struct Chunk {
    codes: vec4<u32>,
    high: u32,
    scale: vec2<f32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    let at = row * params.chunks + chunk; // a chunk is a unit, which has one high word
    return Chunk(w_codes[at], w_meta[at], unit_scale_k(row, chunk));
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    let q = vec4<f32>(unpack4xU8(nibble_quad(c.codes, i) | fifth_bits(c.high, i)));
    return c.scale.x * q - c.scale.y;
}

fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    return fma(c.scale.x, codes5_dot(c.codes, c.high, x), -c.scale.y * sum_x);
}
