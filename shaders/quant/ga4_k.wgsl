// Layout ga4_k: a chunk is a unit of 32 columns; unit u of a 256-column block: value = (d*sc[u]) * q - (dmin*mn[u]).
// See quant/f32.wgsl for the contract.
#import lib/codes
#import lib/scales

const QUADS: u32 = 8u;

struct Chunk {
    codes: vec4<u32>,
    scale: vec2<f32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(w_codes[row * params.chunks + chunk], unit_scale_k(row, chunk));
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    let q = vec4<f32>(unpack4xU8(nibble_quad(c.codes, i)));
    return c.scale.x * q - c.scale.y;
}

fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    return fma(c.scale.x, codes4_dot(c.codes, x), -c.scale.y * sum_x);
}
