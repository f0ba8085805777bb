// Layout ga4_sym: a chunk is a unit of 32 columns, value = s * (q - 8); one f16 scale per unit.
// See quant/f32.wgsl for the contract.
#import lib/codes
#import lib/scales

const QUADS: u32 = 8u;

struct Chunk {
    codes: vec4<u32>,
    scale: f32,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(w_codes[row * params.chunks + chunk], unit_scale(row, chunk));
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    let q = vec4<f32>(unpack4xU8(nibble_quad(c.codes, i)));
    return c.scale * (q - 8.0);
}

fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    return c.scale * fma(-8.0, sum_x, codes4_dot(c.codes, x));
}
