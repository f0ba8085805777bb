// Fours of rows of a head that hold whole rotary pairs (i, i + N_ROT/2) and whole pairs of neighbours.
// The importer provides HEAD_DIM, N_ROT and rope: array<vec2<f32>> [capacity, N_ROT / 2]: cos, sin.

const HALF: u32 = N_ROT / 2u;
#if ODD_HALF
const OWNED_PER_HEAD: u32 = HEAD_DIM / 2u;
#else
const OWNED_PER_HEAD: u32 = HEAD_DIM / 4u;
#endif

#if ODD_HALF
// The partner of dimension d, or d itself when it is not rotated.
fn partner(d: u32, rotates: bool) -> u32 {
    if (!rotates || d >= N_ROT) {
        return d;
    }
    return select(d + HALF, d - HALF, d >= HALF);
}
#endif

// The dimensions of the j-th four rows of a head; with ODD_HALF two dimensions and their partners.
fn dimensions(j: u32, rotates: bool) -> vec4<u32> {
#if ODD_HALF
    return vec4<u32>(2u * j, 2u * j + 1u, partner(2u * j, rotates), partner(2u * j + 1u, rotates));
#else
    if (rotates && j < N_ROT / 4u) {
        return vec4<u32>(2u * j, 2u * j + 1u, HALF + 2u * j, HALF + 2u * j + 1u);
    }
    return vec4<u32>(4u * j, 4u * j + 1u, 4u * j + 2u, 4u * j + 3u);
#endif
}

// y, rotated; dims as from `dimensions`.
fn rotated(y: vec4<f32>, dims: vec4<u32>, position: u32) -> vec4<f32> {
    let angles = position * HALF;
#if ODD_HALF
    var r = y;
    for (var i = 0u; i < 2u; i++) {
        if (dims[i] < N_ROT) {
            let turn = rope[angles + min(dims[i], dims[i + 2u])];
            r[i] = y[i] * turn.x + select(-1.0, 1.0, dims[i] >= HALF) * y[i + 2u] * turn.y;
        }
    }
    return r;
#else
    if (dims.x >= HALF) {
        return y; // beyond N_ROT
    }
    let a = rope[angles + dims.x];
    let b = rope[angles + dims.y];
    let c = vec2<f32>(a.x, b.x);
    let s = vec2<f32>(a.y, b.y);
    return vec4<f32>(y.xy * c - y.zw * s, y.zw * c + y.xy * s);
#endif
}
