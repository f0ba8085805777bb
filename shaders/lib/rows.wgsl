// Partial dot products of 4 (or 8: ROWS8) matrix rows with x, one lane's share of the chunks first..end: the inner loop
// of decoding.
// Lanes stride over 16-byte chunks, so that neighbours read neighbouring words of every row; x is read once per chunk
// and used for all rows. With NORM, x is multiplied by norm_weight and the squares of x are summed on the way: the
// caller multiplies by rsqrt(squares / cols + eps) at the end.
// The importer provides x_quad(q) = columns 4q..4q+3 of x, params.cols, and norm_weight: array<vec4<f32>> with NORM.

fn take_quad(quad: u32, x: ptr<function, vec4<f32>>, squares: ptr<function, f32>) {
    let v = x_quad(quad);
#if NORM
    // cols is a multiple of 4; beyond it x is arbitrary and norm_weight ends
    let live = quad * 4u < params.cols;
    *squares += select(0.0, dot(v, v), live);
    *x = select(vec4<f32>(), v * norm_weight[quad], live);
#else
    *x = v;
#endif
}

fn rows_partial(a: vec4<u32>, b: vec4<u32>, lane: u32, first: u32, end: u32) -> Sums {
    var sums = Sums();
    var squares = 0.0;
    for (var chunk = first + lane; chunk < end; chunk += LANES) {
        let a0 = load_chunk(a.x, chunk);
        let a1 = load_chunk(a.y, chunk);
        let a2 = load_chunk(a.z, chunk);
        let a3 = load_chunk(a.w, chunk);
#if ROWS8
        let b0 = load_chunk(b.x, chunk);
        let b1 = load_chunk(b.y, chunk);
        let b2 = load_chunk(b.z, chunk);
        let b3 = load_chunk(b.w, chunk);
#endif
        // Unrolled by hand: a loop that some compiler keeps would put x into memory.
        var x = array<vec4<f32>, 8>();
        var v: vec4<f32>;
        let quad = chunk * QUADS;
        take_quad(quad, &v, &squares);
        x[0] = v;
        var sum4 = v;
        if (QUADS >= 2u) {
            take_quad(quad + 1u, &v, &squares);
            x[1] = v;
            sum4 += v;
        }
        if (QUADS >= 4u) {
            take_quad(quad + 2u, &v, &squares);
            x[2] = v;
            sum4 += v;
            take_quad(quad + 3u, &v, &squares);
            x[3] = v;
            sum4 += v;
        }
        if (QUADS >= 8u) {
            take_quad(quad + 4u, &v, &squares);
            x[4] = v;
            sum4 += v;
            take_quad(quad + 5u, &v, &squares);
            x[5] = v;
            sum4 += v;
            take_quad(quad + 6u, &v, &squares);
            x[6] = v;
            sum4 += v;
            take_quad(quad + 7u, &v, &squares);
            x[7] = v;
            sum4 += v;
        }
        let s = (sum4.x + sum4.y) + (sum4.z + sum4.w);
        sums.a += vec4<f32>(chunk_dot(a0, &x, s), chunk_dot(a1, &x, s), chunk_dot(a2, &x, s), chunk_dot(a3, &x, s));
#if ROWS8
        sums.b += vec4<f32>(chunk_dot(b0, &x, s), chunk_dot(b1, &x, s), chunk_dot(b2, &x, s), chunk_dot(b3, &x, s));
#endif
    }
#if NORM
    sums.squares = squares;
#endif
    return sums;
}
