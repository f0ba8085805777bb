// As lib/rows.wgsl for M = 2, 4 or 8 tokens and 4 rows: the weights are read and decoded once for all tokens.
// The importer provides x_quad(token, q) = columns 4q..4q+3 of a token's x, params.cols, and norm_weight with NORM.

// Sums of the tokens; the first M are in use.
struct Many {
    rows: array<vec4<f32>, 8>,
#if NORM
    squares: array<f32, 8>,
#endif
}

fn many_token(w: mat4x4<f32>, gain: vec4<f32>, token: u32, quad: u32, sums: ptr<function, Many>) {
    let x = x_quad(token, quad);
#if NORM
    let live = quad * 4u < params.cols;
    (*sums).squares[token] += select(0.0, dot(x, x), live);
    (*sums).rows[token] += select(vec4<f32>(), x * gain, live) * w;
#else
    (*sums).rows[token] += x * w;
#endif
}

fn many_quad(c0: Chunk, c1: Chunk, c2: Chunk, c3: Chunk, i: u32, first: u32, sums: ptr<function, Many>) {
    let w = mat4x4<f32>(chunk_quad(c0, i), chunk_quad(c1, i), chunk_quad(c2, i), chunk_quad(c3, i));
    let quad = first + i;
#if NORM
    let gain = norm_weight[quad];
#else
    let gain = vec4<f32>();
#endif
    // Unrolled by hand: a loop that some compiler keeps would put the sums into memory.
    many_token(w, gain, 0u, quad, sums);
    many_token(w, gain, 1u, quad, sums);
    if (M >= 4u) {
        many_token(w, gain, 2u, quad, sums);
        many_token(w, gain, 3u, quad, sums);
    }
    if (M >= 8u) {
        many_token(w, gain, 4u, quad, sums);
        many_token(w, gain, 5u, quad, sums);
        many_token(w, gain, 6u, quad, sums);
        many_token(w, gain, 7u, quad, sums);
    }
}

fn rows_many(rows: vec4<u32>, lane: u32) -> Many {
    var sums = Many();
    for (var chunk = lane; chunk < params.chunks; chunk += LANES) {
        let c0 = load_chunk(rows.x, chunk);
        let c1 = load_chunk(rows.y, chunk);
        let c2 = load_chunk(rows.z, chunk);
        let c3 = load_chunk(rows.w, chunk);
        let quad = chunk * QUADS;
        many_quad(c0, c1, c2, c3, 0u, quad, &sums);
        if (QUADS >= 2u) {
            many_quad(c0, c1, c2, c3, 1u, quad, &sums);
        }
        if (QUADS >= 4u) {
            many_quad(c0, c1, c2, c3, 2u, quad, &sums);
            many_quad(c0, c1, c2, c3, 3u, quad, &sums);
        }
        if (QUADS >= 8u) {
            many_quad(c0, c1, c2, c3, 4u, quad, &sums);
            many_quad(c0, c1, c2, c3, 5u, quad, &sums);
            many_quad(c0, c1, c2, c3, 6u, quad, &sums);
            many_quad(c0, c1, c2, c3, 7u, quad, &sums);
        }
    }
    return sums;
}
