// One token's attention over one range of keys (a split), unnormalised:
//   s_j = scale * q . k_j,  m = max s_j,  partial = sum exp(s_j - m) v_j,  stats = (m, sum exp(s_j - m))
// Workgroup (kv head, split, block of HEADS query heads): K and V are read once for all of the block.
// Tiles of 64 keys: four threads per key make the dot products (a quarter of the dimensions each, so that a load
// instruction reads whole 32-byte sectors), 8 threads per head the softmax, then a thread owns four columns of the output
// and every KEY_LANES-th four of keys. All threads keep the running maxima in registers.

#import lib/kv
#import lib/splits
#import lib/state

struct Params {
    scale: f32,
    window: u32, // 0xffffffff: none
    n_splits: u32,
    n_heads: u32,
    group: u32, // n_heads / n_kv_heads
    kv_row4: u32, // n_kv_heads * head_dim / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // [n_heads, head_dim]
@group(0) @binding(2) var<storage, read> k_cache: array<KvQuad>; // [capacity, n_kv_heads*head_dim]
@group(0) @binding(3) var<storage, read> v_cache: array<KvQuad>;
@group(0) @binding(4) var<storage, read> state: State;
@group(0) @binding(5) var<storage, read> gone: array<u32>; // [n_kv_heads]: rows that are no longer there
@group(0) @binding(6) var<storage, read_write> partials: array<vec4<f32>>; // [n_splits, n_heads, head_dim]
@group(0) @binding(7) var<storage, read_write> stats: array<vec2<f32>>; // [n_splits, n_heads]

const QUADS: u32 = HEAD_DIM / 4u;
const TILE: u32 = 64u;
const KEYS_AT_ONCE: u32 = WG / 4u; // half a tile
const KEY_LANES: u32 = min(WG / QUADS, 16u);
const LOWEST: f32 = -3.0e38;

const QUARTER: u32 = HEADS * TILE + 8u; // the 8 spread the quarters over the banks
const SLOTS: u32 = (KEY_LANES / 2u) * HEADS * QUADS;
var<workgroup> queries: array<vec4<f32>, HEADS * QUADS>;
var<workgroup> scratch: array<f32, max(4u * QUARTER, 4u * SLOTS)>; // [quarter][head][key] of scores; then the join
var<workgroup> weights: array<vec4<f32>, HEADS * TILE / 4u>; // [head][key]: exp(s - m)
var<workgroup> per_octet: array<f32, HEADS * 8u>; // [head][8 keys]: maximum in the tile; at the end, sums

fn top(v: vec4<f32>) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

// Scores of four neighbouring keys, LOWEST from `keys` on.
fn scores(head: u32, key: u32, keys: u32) -> vec4<f32> {
    var s = vec4<f32>();
    for (var quarter = 0u; quarter < 4u; quarter++) {
        let at = quarter * QUARTER + head * TILE + key;
        s += vec4<f32>(scratch[at], scratch[at + 1u], scratch[at + 2u], scratch[at + 3u]);
    }
    return select(vec4<f32>(LOWEST), s, vec4<u32>(key, key + 1u, key + 2u, key + 3u) < vec4<u32>(keys));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
    let splits = active_splits(state.row, params.window, params.n_splits);
    if (group.y >= splits) {
        return;
    }
    let present = state.row + 1u - gone[group.x]; // keys of this head
    let live = min(present, params.window);
    let share = (live + splits - 1u) / splits;
    let begin = min(group.y * share, live); // the last splits may be left without keys
    let end = min(begin + share, live);
    let first_key = present - live;
    let first_head = group.x * params.group + group.z * HEADS;
    let heads = min(HEADS, params.group - group.z * HEADS);

    for (var i = tid; i < HEADS * QUADS; i += WG) {
        // a head beyond the group repeats the last one
        queries[i] = q[(first_head + min(i / QUADS, heads - 1u)) * QUADS + i % QUADS] * params.scale;
    }
    workgroupBarrier();

    let quarter = tid % 4u;
    let my_head = tid / 8u; // in the softmax, of threads below HEADS * 8
    let my_keys = tid % 8u * 8u;
    let column = tid % QUADS; // in the output
    let lane = tid / QUADS;
    var m = array<f32, HEADS>();
    var acc = array<vec4<f32>, HEADS>();
    for (var h = 0u; h < HEADS; h++) {
        m[h] = LOWEST;
    }
    var my_m = LOWEST;
    var my_sum = 0.0;

    for (var tile = begin; tile < end; tile += TILE) {
        let keys = min(TILE, end - tile);
        let base = (first_key + tile) * params.kv_row4 + group.x * QUADS;

        // Two keys per thread, so that a query read serves both; a key beyond the tile repeats the last one.
        let key = tid / 4u;
        if (key < keys) {
            let row0 = base + key * params.kv_row4;
            let row1 = base + min(key + KEYS_AT_ONCE, keys - 1u) * params.kv_row4;
            var s0 = array<f32, HEADS>();
            var s1 = array<f32, HEADS>();
            for (var i = quarter; i < QUADS; i += 4u) {
                let a = kv_quad(k_cache[row0 + i]);
                let b = kv_quad(k_cache[row1 + i]);
                for (var h = 0u; h < HEADS; h++) {
                    let x = queries[h * QUADS + i];
                    s0[h] += dot(x, a);
                    s1[h] += dot(x, b);
                }
            }
            for (var h = 0u; h < HEADS; h++) {
                let at = quarter * QUARTER + h * TILE + key;
                scratch[at] = s0[h];
                scratch[at + KEYS_AT_ONCE] = s1[h];
            }
        }
        workgroupBarrier();

        var low = vec4<f32>();
        var high = vec4<f32>();
        if (my_head < HEADS) {
            low = scores(my_head, my_keys, keys);
            high = scores(my_head, my_keys + 4u, keys);
            per_octet[tid] = max(top(low), top(high));
        }
        workgroupBarrier();

        let old_m = my_m;
        for (var h = 0u; h < HEADS; h++) {
            var greater = m[h];
            for (var octet = 0u; octet < 8u; octet++) {
                greater = max(greater, per_octet[h * 8u + octet]);
            }
            acc[h] *= exp(m[h] - greater);
            m[h] = greater;
            my_m = select(my_m, greater, h == my_head);
        }
        if (my_head < HEADS) {
            // a tile has a key, so my_m is a score and masked keys (LOWEST) get exp = 0
            low = exp(low - my_m);
            high = exp(high - my_m);
            weights[tid * 2u] = low;
            weights[tid * 2u + 1u] = high;
            my_sum = my_sum * exp(old_m - my_m) + dot(low + high, vec4<f32>(1.0));
        }
        workgroupBarrier();

        if (lane < KEY_LANES) {
            for (var four = lane; four * 4u < keys; four += KEY_LANES) {
                let row = base + four * 4u * params.kv_row4 + column;
                let last = keys - 1u - four * 4u; // rows beyond the tile repeat it, with weight 0
                let v0 = kv_quad(v_cache[row]);
                let v1 = kv_quad(v_cache[row + min(1u, last) * params.kv_row4]);
                let v2 = kv_quad(v_cache[row + min(2u, last) * params.kv_row4]);
                let v3 = kv_quad(v_cache[row + min(3u, last) * params.kv_row4]);
                for (var h = 0u; h < HEADS; h++) {
                    let w = weights[h * 16u + four];
                    acc[h] += w.x * v0 + w.y * v1 + w.z * v2 + w.w * v3;
                }
            }
        }
    }

    // Join the key lanes, the upper half into the lower; SLOTS apart, the four components meet no bank conflict.
    if (my_head < HEADS) {
        per_octet[tid] = my_sum;
    }
    for (var width = KEY_LANES; width > 1u; width = (width + 1u) / 2u) {
        let lower = (width + 1u) / 2u;
        if (lane >= lower && lane < width) {
            for (var h = 0u; h < HEADS; h++) {
                let at = ((lane - lower) * HEADS + h) * QUADS + column;
                scratch[at] = acc[h].x;
                scratch[at + SLOTS] = acc[h].y;
                scratch[at + 2u * SLOTS] = acc[h].z;
                scratch[at + 3u * SLOTS] = acc[h].w;
            }
        }
        workgroupBarrier();
        if (lane + lower < width) {
            for (var h = 0u; h < HEADS; h++) {
                let at = (lane * HEADS + h) * QUADS + column;
                acc[h] += vec4<f32>(
                    scratch[at], scratch[at + SLOTS], scratch[at + 2u * SLOTS], scratch[at + 3u * SLOTS]
                );
            }
        }
        workgroupBarrier();
    }
    workgroupBarrier(); // per_octet, when there is one lane

    let out = group.y * params.n_heads + first_head;
    if (lane == 0u) {
        for (var h = 0u; h < heads; h++) {
            partials[(out + h) * QUADS + column] = acc[h];
        }
    }
    if (my_head < heads && my_keys == 0u) {
        var sum = 0.0;
        for (var octet = 0u; octet < 8u; octet++) {
            sum += per_octet[tid + octet];
        }
        stats[out + my_head] = vec2<f32>(my_m, sum);
    }
}
