// Layout ga4_sym: a chunk is a unit of 32 columns, value = s * (q - 8); one f16 scale per unit.
// A word holds 8 columns in lane order: its low nibbles are four consecutive columns, its high nibbles the next four.
// See quant/f32.wgsl for the contract.

const QUADS: u32 = 8u;
const NEEDS_SUM: bool = true;

struct Chunk {
    codes: vec4<u32>,
    scale: f32,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    let pair = unpack2x16float(w_meta[params.scale_base + row * params.scale_words + (chunk >> 1u)]);
    return Chunk(w_codes[row * params.chunks + chunk], select(pair.x, pair.y, (chunk & 1u) == 1u));
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    let q = vec4<f32>(unpack4xU8((c.codes[i >> 1u] >> (4u * (i & 1u))) & 0x0F0F0F0Fu));
    return c.scale * (q - 8.0);
}

fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    let low = c.codes & vec4<u32>(0x0F0F0F0Fu);
    let high = (c.codes >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu);
    var v = vec4<f32>(unpack4xU8(low.x)) * (*x)[0];
    v = fma(vec4<f32>(unpack4xU8(high.x)), (*x)[1], v);
    v = fma(vec4<f32>(unpack4xU8(low.y)), (*x)[2], v);
    v = fma(vec4<f32>(unpack4xU8(high.y)), (*x)[3], v);
    v = fma(vec4<f32>(unpack4xU8(low.z)), (*x)[4], v);
    v = fma(vec4<f32>(unpack4xU8(high.z)), (*x)[5], v);
    v = fma(vec4<f32>(unpack4xU8(low.w)), (*x)[6], v);
    v = fma(vec4<f32>(unpack4xU8(high.w)), (*x)[7], v);
    return c.scale * fma(-8.0, sum_x, (v.x + v.y) + (v.z + v.w));
}
