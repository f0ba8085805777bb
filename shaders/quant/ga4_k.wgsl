// Layout ga4_k: a chunk is a unit of 32 columns; unit u of a 256-column block: value = (d*sc[u]) * q - (dmin*mn[u]).
// Scales: per block 5 words: d f16 | dmin f16 << 16, sc u8[8], mn u8[8]. See quant/f32.wgsl for the contract.

const QUADS: u32 = 8u;
const NEEDS_SUM: bool = true;

struct Chunk {
    codes: vec4<u32>,
    scale: f32,
    low: f32,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    let block = params.scale_base + row * params.scale_words + (chunk >> 3u) * 5u;
    let word = (chunk >> 2u) & 1u;
    let byte = 8u * (chunk & 3u);
    let d = unpack2x16float(w_meta[block]);
    let sc = f32((w_meta[block + 1u + word] >> byte) & 0xFFu);
    let mn = f32((w_meta[block + 3u + word] >> byte) & 0xFFu);
    return Chunk(w_codes[row * params.chunks + chunk], d.x * sc, d.y * mn);
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    let q = vec4<f32>(unpack4xU8((c.codes[i >> 1u] >> (4u * (i & 1u))) & 0x0F0F0F0Fu));
    return c.scale * q - c.low;
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
    return fma(c.scale, (v.x + v.y) + (v.z + v.w), -c.low * sum_x);
}
