// Scales of rows in w_meta. The importer provides w_meta and the fields scale_words and scale_base of params.

// The f16 of a unit in rows with one per unit, two per word.
fn unit_scale(row: u32, unit: u32) -> f32 {
    let pair = unpack2x16float(w_meta[params.scale_base + row * params.scale_words + (unit >> 1u)]);
    return select(pair.x, pair.y, (unit & 1u) == 1u);
}

// Scale and offset of a unit in rows with two f16 per unit.
fn unit_affine(row: u32, unit: u32) -> vec2<f32> {
    return unpack2x16float(w_meta[params.scale_base + row * params.scale_words + unit]);
}

// Scale and minimum of a unit in rows with 5 words per 256 columns: d f16 | dmin f16 << 16, sc u8[8], mn u8[8].
fn unit_scale_k(row: u32, unit: u32) -> vec2<f32> {
    let block = params.scale_base + row * params.scale_words + (unit >> 3u) * 5u;
    let word = (unit >> 2u) & 1u;
    let byte = 8u * (unit & 3u);
    let sc = f32((w_meta[block + 1u + word] >> byte) & 0xFFu);
    let mn = f32((w_meta[block + 3u + word] >> byte) & 0xFFu);
    return unpack2x16float(w_meta[block]) * vec2<f32>(sc, mn);
}
