// Layout f32: a chunk is 4 columns, one f32 per word.
// Contract of every quant file, over `w_codes: array<vec4<u32>>`, `w_meta: array<u32>` and the fields chunks,
// scale_words (both per row) and scale_base (first word of the scales) of `params`:
//   QUADS            quads of columns in a chunk (16 bytes of codes)
//   load_chunk(r, c) chunk c of row r
//   chunk_dot        dot product of a chunk with x[0..QUADS]; sum_x = sum of these x
//   chunk_quad(c, i) the values of quad i

const QUADS: u32 = 1u;

struct Chunk {
    codes: vec4<u32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(w_codes[row * params.chunks + chunk]);
}

fn chunk_quad(c: Chunk, i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(c.codes);
}

fn chunk_dot(c: Chunk, x: ptr<function, array<vec4<f32>, 8>>, sum_x: f32) -> f32 {
    return dot(bitcast<vec4<f32>>(c.codes), (*x)[0]);
}
