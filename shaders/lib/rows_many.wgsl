// As lib/rows.wgsl for M = 2, 4 or 8 tokens and 4 rows: the weights are read and decoded once for all tokens.
// The importer provides x_quad(token, q) = columns 4q..4q+3 of a token's x.

// Sums of the tokens; the first M are in use.
struct Many {
    rows: array<vec4<f32>, 8>,
}

fn many_token(w: mat4x4<f32>, token: u32, quad: u32, sums: ptr<function, Many>) {
    (*sums).rows[token] += x_quad(token, quad) * w;
}

fn many_quad(c0: Chunk, c1: Chunk, c2: Chunk, c3: Chunk, i: u32, first: u32, sums: ptr<function, Many>) {
    let w = mat4x4<f32>(chunk_quad(c0, i), chunk_quad(c1, i), chunk_quad(c2, i), chunk_quad(c3, i));
    let quad = first + i;
    // Unrolled by hand: a loop that some compiler keeps would put the sums into memory.
    many_token(w, 0u, quad, sums);
    many_token(w, 1u, quad, sums);
    if (M >= 4u) {
        many_token(w, 2u, quad, sums);
        many_token(w, 3u, quad, sums);
    }
    if (M >= 8u) {
        many_token(w, 4u, quad, sums);
        many_token(w, 5u, quad, sums);
        many_token(w, 6u, quad, sums);
        many_token(w, 7u, quad, sums);
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
