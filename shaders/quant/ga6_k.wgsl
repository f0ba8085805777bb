// Layout ga6_k: a chunk is a unit of 32 columns; half-unit h of the sixteen in a 256-column block:
// value = (d*sc[h]) * (q - 32). The two top bits come from the high plane: two words per unit, one per half-unit, bits
// 8*(e&3) + 2*(e>>2). Scales: per block 5 words: d f16, sc i8[16]. See quant/f32.wgsl for the contract.

const QUADS: u32 = 8u;

struct Chunk {
    codes: vec4<u32>,
    high: vec2<u32>,
    scale: vec2<f32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    let block = params.scale_base + row * params.scale_words + (chunk >> 3u) * 5u;
    let d = unpack2x16float(w_meta[block]).x;
    let word = bitcast<i32>(w_meta[block + 1u + ((chunk >> 1u) & 3u)] >> (16u * (chunk & 1u)));
    let sc = vec2<f32>(f32(extractBits(word, 0u, 8u)), f32(extractBits(word, 8u, 8u)));
    let at = row * params.chunks + chunk; // a chunk is a unit, which has two high words
    return Chunk(w_codes[at], vec2<u32>(w_meta[2u * at], w_meta[2u * at + 1u]), d * sc);
}

// Codes of four columns: their low nibbles in the four bytes of `low`, their top bits in bits 0..1 of the bytes of `high`.
fn codes6(low: u32, high: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xU8((low & 0x0F0F0F0Fu) | ((high & 0x03030303u) << 4u))) - 32.0;
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    let high = select(c.high.x, c.high.y, i >= 4u) >> (2u * (i & 3u));
    return select(c.scale.x, c.scale.y, i >= 4u) * codes6(c.codes[i >> 1u] >> (4u * (i & 1u)), high);
}

// Two scales per chunk: subtracting 32 from the codes is cheaper than two sums of x.
fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    var v = codes6(c.codes.x, c.high.x) * (*x)[0];
    v = fma(codes6(c.codes.x >> 4u, c.high.x >> 2u), (*x)[1], v);
    v = fma(codes6(c.codes.y, c.high.x >> 4u), (*x)[2], v);
    v = fma(codes6(c.codes.y >> 4u, c.high.x >> 6u), (*x)[3], v);
    var w = codes6(c.codes.z, c.high.y) * (*x)[4];
    w = fma(codes6(c.codes.z >> 4u, c.high.y >> 2u), (*x)[5], w);
    w = fma(codes6(c.codes.w, c.high.y >> 4u), (*x)[6], w);
    w = fma(codes6(c.codes.w >> 4u, c.high.y >> 6u), (*x)[7], w);
    v = fma(vec4<f32>(c.scale.x), v, c.scale.y * w);
    return (v.x + v.y) + (v.z + v.w);
}
