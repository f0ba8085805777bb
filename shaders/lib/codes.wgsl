// Codes of a unit of 32 columns in lane order: the low nibbles of word i are columns 8i..8i+3 in its four bytes, the high
// nibbles columns 8i+4..8i+7.

// Column quad i as bytes.
fn nibble_quad(codes: vec4<u32>, i: u32) -> u32 {
    return (codes[i >> 1u] >> (4u * (i & 1u))) & 0x0F0F0F0Fu;
}

// Bit 4 of the bytes of column quad i, from a 1-bit plane.
fn fifth_bits(high: u32, i: u32) -> u32 {
    return ((high >> i) & 0x01010101u) << 4u;
}

// Dot product of 32 codes with x; even and odd are the quads 0, 2, 4, 6 and 1, 3, 5, 7 as bytes.
fn bytes_dot(even: vec4<u32>, odd: vec4<u32>, x: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    var v = vec4<f32>(unpack4xU8(even.x)) * (*x)[0];
    v = fma(vec4<f32>(unpack4xU8(odd.x)), (*x)[1], v);
    v = fma(vec4<f32>(unpack4xU8(even.y)), (*x)[2], v);
    v = fma(vec4<f32>(unpack4xU8(odd.y)), (*x)[3], v);
    v = fma(vec4<f32>(unpack4xU8(even.z)), (*x)[4], v);
    v = fma(vec4<f32>(unpack4xU8(odd.z)), (*x)[5], v);
    v = fma(vec4<f32>(unpack4xU8(even.w)), (*x)[6], v);
    v = fma(vec4<f32>(unpack4xU8(odd.w)), (*x)[7], v);
    return (v.x + v.y) + (v.z + v.w);
}

// Dot product of 32 4-bit codes with x.
fn codes4_dot(codes: vec4<u32>, x: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    return bytes_dot(codes & vec4<u32>(0x0F0F0F0Fu), (codes >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu), x);
}

// Dot product of 32 5-bit codes with x, their fifth bits in a 1-bit plane.
fn codes5_dot(codes: vec4<u32>, high: u32, x: ptr<function, array<vec4<f32>, 8>>) -> f32 {
    let even = vec4<u32>(high, high >> 2u, high >> 4u, high >> 6u) & vec4<u32>(0x01010101u);
    let odd = vec4<u32>(high >> 1u, high >> 3u, high >> 5u, high >> 7u) & vec4<u32>(0x01010101u);
    return bytes_dot(
        (codes & vec4<u32>(0x0F0F0F0Fu)) | (even << vec4<u32>(4u)),
        ((codes >> vec4<u32>(4u)) & vec4<u32>(0x0F0F0F0Fu)) | (odd << vec4<u32>(4u)),
        x,
    );
}
