// Layout ga8_sym: a chunk is 16 columns (half a unit), codes q + 128 in bytes, value = s * q; one f16 scale per unit.
// Flipping the top bit of q + 128 gives q as a signed byte. See quant/f32.wgsl for the contract.

#import lib/scales

const QUADS: u32 = 4u;

struct Chunk {
    codes: vec4<u32>,
    scale: f32,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    let codes = w_codes[row * params.chunks + chunk] ^ vec4<u32>(0x80808080u);
    return Chunk(codes, unit_scale(row, chunk >> 1u));
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    return c.scale * vec4<f32>(unpack4xI8(c.codes[i]));
}

fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    var v = vec4<f32>(unpack4xI8(c.codes.x)) * (*x)[0];
    v = fma(vec4<f32>(unpack4xI8(c.codes.y)), (*x)[1], v);
    v = fma(vec4<f32>(unpack4xI8(c.codes.z)), (*x)[2], v);
    v = fma(vec4<f32>(unpack4xI8(c.codes.w)), (*x)[3], v);
    return c.scale * ((v.x + v.y) + (v.z + v.w));
}
