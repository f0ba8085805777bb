// Sums over the LANES consecutive threads that share rows; every one of them gets the result.
// The importer defines WG = LANES * GROUPS and calls from uniform control flow with tid = local_invocation_index and
// sg = subgroup_size. Works for every subgroup size: subgroups hold consecutive threads in one-dimensional workgroups.

struct Sums {
    a: vec4<f32>,
#if ROWS8
    b: vec4<f32>,
#endif
#if NORM
    squares: f32,
#endif
}

var<workgroup> lane_scratch: array<Sums, WG>;

fn add_sums(p: Sums, q: Sums) -> Sums {
    var r = p;
    r.a += q.a;
#if ROWS8
    r.b += q.b;
#endif
#if NORM
    r.squares += q.squares;
#endif
    return r;
}

fn lanes_sum(value: Sums, tid: u32, sg: u32) -> Sums {
#if SUBGROUPS
    var v = value;
    if (LANES == WG) {
        v.a = subgroupAdd(v.a);
#if ROWS8
        v.b = subgroupAdd(v.b);
#endif
#if NORM
        v.squares = subgroupAdd(v.squares);
#endif
    } else {
        // A subgroup may hold several groups of lanes or a part of one: butterflies below both sizes.
        for (var d = LANES / 2u; d > 0u; d >>= 1u) {
            v.a += select(vec4<f32>(), subgroupShuffleXor(v.a, d), d < sg);
#if ROWS8
            v.b += select(vec4<f32>(), subgroupShuffleXor(v.b, d), d < sg);
#endif
#if NORM
            v.squares += select(0.0, subgroupShuffleXor(v.squares, d), d < sg);
#endif
        }
    }
    let span = firstTrailingBit(min(sg, LANES));
    if ((tid & ((1u << span) - 1u)) == 0u) {
        lane_scratch[tid >> span] = v;
    }
    workgroupBarrier();
    let first = ((tid / LANES) * LANES) >> span;
    var sum = lane_scratch[first];
    let parts = LANES >> span;
    for (var i = 1u; i < parts; i++) {
        sum = add_sums(sum, lane_scratch[first + i]);
    }
#else
    lane_scratch[tid] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half >>= 1u) {
        if (tid % LANES < half) {
            lane_scratch[tid] = add_sums(lane_scratch[tid], lane_scratch[tid + half]);
        }
        workgroupBarrier();
    }
    let sum = lane_scratch[tid / LANES * LANES];
#endif
    workgroupBarrier(); // the scratch may be written again
    return sum;
}
