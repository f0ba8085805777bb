// Sums and maxima over a whole workgroup; every thread gets the result.
// The importer defines `const WG: u32` (threads in the one-dimensional workgroup, a power of two) and calls from uniform
// control flow with tid = local_invocation_index and sg = subgroup_size (any value when SUBGROUPS is not set; 1u is
// customary). Works for every subgroup size: subgroups hold consecutive threads in one-dimensional workgroups.

var<workgroup> reduce_scratch: array<f32, WG>;

fn workgroup_sum(value: f32, tid: u32, sg: u32) -> f32 {
#if SUBGROUPS
    let part = subgroupAdd(value);
    if (tid % sg == 0u) {
        reduce_scratch[tid / sg] = part;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i * sg < WG; i++) {
        sum += reduce_scratch[i];
    }
#else
    reduce_scratch[tid] = value;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        if (tid < half) {
            reduce_scratch[tid] += reduce_scratch[tid + half];
        }
        workgroupBarrier();
    }
    let sum = reduce_scratch[0];
#endif
    workgroupBarrier(); // the scratch may be written again
    return sum;
}

fn workgroup_max(value: f32, tid: u32, sg: u32) -> f32 {
#if SUBGROUPS
    let part = subgroupMax(value);
    if (tid % sg == 0u) {
        reduce_scratch[tid / sg] = part;
    }
    workgroupBarrier();
    var top = reduce_scratch[0];
    for (var i = 1u; i * sg < WG; i++) {
        top = max(top, reduce_scratch[i]);
    }
#else
    reduce_scratch[tid] = value;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        if (tid < half) {
            reduce_scratch[tid] = max(reduce_scratch[tid], reduce_scratch[tid + half]);
        }
        workgroupBarrier();
    }
    let top = reduce_scratch[0];
#endif
    workgroupBarrier(); // the scratch may be written again
    return top;
}
