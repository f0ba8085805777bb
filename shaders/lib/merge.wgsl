// The output of split-KV attention joined from its partials, a tile of columns at a time, in workgroup memory:
// x = sum_s w_s * partial_s with w_s = exp(max_s - max) / sum_s(exp(max_s - max) * sum_s), per head.
// Every workgroup reads all partials, so it should own many rows. Loads are issued in eights: they depend on nothing.
// The importer provides WG, HEAD_DIM, N_HEADS, MAX_SPLITS,
// x: array<vec4<f32>> [n_splits, N_HEADS, HEAD_DIM / 4] and stats: array<vec2<f32>> [n_splits, N_HEADS].

const TILE_QUADS: u32 = 256u;
const SPLIT_ROWS: u32 = (MAX_SPLITS + 7u) / 8u * 8u;

var<workgroup> merged: array<vec4<f32>, TILE_QUADS>;
var<workgroup> split_weight: array<f32, SPLIT_ROWS * N_HEADS>; // maxima first
#if !MANY_STATS
var<workgroup> split_sum: array<f32, MAX_SPLITS * N_HEADS>;
#endif

fn sum_of(i: u32) -> f32 {
#if MANY_STATS
    return stats[i].y; // too many for workgroup memory
#else
    return split_sum[i];
#endif
}

// Weights of the splits of every head; 0 beyond the live ones.
fn weigh_splits(live: u32, tid: u32) {
    for (var i = tid; i < live * N_HEADS; i += WG) {
        let s = stats[i];
        split_weight[i] = s.x;
#if !MANY_STATS
        split_sum[i] = s.y;
#endif
    }
    workgroupBarrier();
    for (var head = tid; head < N_HEADS; head += WG) {
        var top = split_weight[head];
        for (var s = 1u; s < live; s++) {
            top = max(top, split_weight[s * N_HEADS + head]);
        }
        var sum = 0.0;
        for (var s = 0u; s < live; s++) {
            let i = s * N_HEADS + head;
            let e = exp(max(split_weight[i] - top, -80.0));
            split_weight[i] = e;
            sum += e * sum_of(i);
        }
        for (var s = 0u; s < SPLIT_ROWS; s++) {
            let i = s * N_HEADS + head;
            split_weight[i] = select(0.0, split_weight[i] / sum, s < live);
        }
    }
    workgroupBarrier();
}

// w_s * partial_s of one quad; splits that are not live repeat the last with weight 0.
fn weighed(s: u32, live: u32, head: u32, quad: u32) -> vec4<f32> {
    let base = min(s, live - 1u) * (N_HEADS * HEAD_DIM / 4u);
    return split_weight[s * N_HEADS + head] * x[base + quad];
}

// Joins quads [first, first + TILE_QUADS) into `merged`; 0 beyond the last head.
fn merge_tile(first: u32, live: u32, tid: u32) {
    for (var i = tid; i < TILE_QUADS; i += WG) {
        let quad = first + i;
        let head = quad * 4u / HEAD_DIM;
        var v = vec4<f32>();
        if (head < N_HEADS) {
            for (var s = 0u; s < live; s += 8u) {
                let p0 = weighed(s, live, head, quad);
                let p1 = weighed(s + 1u, live, head, quad);
                let p2 = weighed(s + 2u, live, head, quad);
                let p3 = weighed(s + 3u, live, head, quad);
                let p4 = weighed(s + 4u, live, head, quad);
                let p5 = weighed(s + 5u, live, head, quad);
                let p6 = weighed(s + 6u, live, head, quad);
                let p7 = weighed(s + 7u, live, head, quad);
                v += ((p0 + p1) + (p2 + p3)) + ((p4 + p5) + (p6 + p7));
            }
        }
        merged[i] = v;
    }
}
