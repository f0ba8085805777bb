// token = argmax over the survivors of (l - max) / temperature + gumbel(seed, draws, id); greedy: of l. Ties go to the
// lowest id. One workgroup; thread t takes items t, t + WG, ...
// All filters keep a prefix of one order (logit down, id up): a cut is the last (key, id) kept.
//   top-k: the first k. top-p: as many of these as reach p times their mass; masses are rounded to units of about
//   2^-31 of the whole (`mass`), sums and the comparison are exact. min-p: (l - max) / temperature >= ln(min_p).
// Cuts are found by radix select, 8 bits of the key at a time, then of the id where ties straddle the cut. It runs on
// a list of the largest logits in workgroup memory; where that may not hold the whole set, on the logits themselves.
// temperature is 0 or in 1e-6..1e6, vocab_size <= 2^24.

#import lib/reduce
#import lib/order
#import lib/random

struct Params {
    vocab_size: u32,
    n_chunks: u32,
    ring_len: u32,
    pad: u32,
}

struct Sampling {
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    repetition_penalty: f32,
    seed: u32,
    reserved: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [vocab_size]
@group(0) @binding(2) var<storage, read> chunks: array<vec4<f32>>; // [n_chunks]: max, index, sum, 0
@group(0) @binding(3) var<storage, read> sampling: Sampling;
@group(0) @binding(4) var<storage, read_write> state: array<u32, 8>; // StepState
@group(0) @binding(5) var<storage, read_write> ids: array<u32>; // [..], word 0 is written
@group(0) @binding(6) var<storage, read_write> seen: array<u32>; // [vocab_size]
@group(0) @binding(7) var<storage, read_write> ring: array<u32>; // [ring_len]

const LIST = 1024u;
const NUCLEUS = 192u; // of WG slices, the share whose maxima bound the list when there is only top-p

var<workgroup> bins: array<atomic<u32>, WG>;
var<workgroup> sums: array<u32, WG>;
var<workgroup> list: array<vec2<u32>, LIST>; // key, id
var<workgroup> found: vec4<u32>; // hands a value to all threads

// What is searched: n items of the list or of the logits, no further than the cut (cut_key, cut_id).
struct Search {
    listed: bool,
    n: u32,
    cut_key: u32,
    cut_id: u32,
    largest: f32,
    mass_scale: f32,
}

fn scaled(key: u32, largest: f32) -> f32 {
    return max(max(order_value(key) - largest, -1e30) / sampling.temperature, -80.0);
}

fn mass(key: u32, s: Search) -> u32 {
    return u32(exp(scaled(key, s.largest)) * s.mass_scale + 0.5);
}

fn item(i: u32, listed: bool) -> vec2<u32> {
    if (listed) {
        return list[i];
    }
    return vec2<u32>(order_key(logits[i]), i);
}

fn survives(it: vec2<u32>, s: Search) -> bool {
    return it.x > s.cut_key || (it.x == s.cut_key && it.y <= s.cut_id);
}

// From the highest bin down, the first whose running sum reaches `need`: (bin, sum above it, its own).
// (0, 0, 0) if none does: exp may round otherwise here than where `need` was summed, in the last unit.
fn find_bin(need: u32, tid: u32) -> vec4<u32> {
    let own = atomicLoad(&bins[tid]);
    sums[tid] = own;
    if (tid == 0u) {
        found = vec4<u32>(0u);
    }
    workgroupBarrier();
    for (var step = 1u; step < WG; step <<= 1u) {
        var add = 0u;
        if (tid + step < WG) {
            add = sums[tid + step];
        }
        workgroupBarrier();
        sums[tid] += add;
        workgroupBarrier();
    }
    let through = sums[tid];
    let wanted = min(need, sums[0]);
    if (through >= wanted && through - own < wanted) {
        found = vec4<u32>(tid, through - own, own, 0u);
    }
    return workgroupUniformLoad(&found);
}

// The cut at which counts or masses, from the top, reach `target_sum`.
fn find_cut(by_mass: bool, target_sum: u32, s: Search, tid: u32) -> vec2<u32> {
    var need = target_sum;
    var key = 0u;
    var id = 0u; // counted down from 2^24 - 1
    for (var digit = 0u; digit < 7u; digit++) {
        let of_id = digit >= 4u;
        let shift = 8u * select(3u - digit, 6u - digit, of_id);
        atomicStore(&bins[tid], 0u);
        workgroupBarrier();
        for (var i = tid; i < s.n; i += WG) {
            let it = item(i, s.listed);
            let word = select(it.x, 0xffffffu - it.y, of_id);
            let inside = ((word >> shift) >> 8u) == select(key, id, of_id) && (!of_id || it.x == key);
            if (inside && survives(it, s)) {
                var amount = 1u;
                if (by_mass && !of_id) {
                    amount = mass(it.x, s);
                }
                atomicAdd(&bins[(word >> shift) & 255u], amount);
            }
        }
        workgroupBarrier();
        let bin = find_bin(need, tid);
        need -= min(bin.y, need);
        if (of_id) {
            id = (id << 8u) | bin.x;
        } else {
            key = (key << 8u) | bin.x;
        }
        if (digit == 3u) {
            var each = 1u;
            if (by_mass) {
                each = max(mass(key, s), 1u);
            }
            need = (need - 1u) / each + 1u;
            if (need * each >= bin.z) {
                return vec2<u32>(key, select(NO_ID, s.cut_id, key == s.cut_key)); // all ties
            }
        }
    }
    return vec2<u32>(key, 0xffffffu - id);
}

fn total_mass(s: Search, tid: u32) -> u32 {
    atomicStore(&bins[tid], 0u);
    workgroupBarrier();
    var own = 0u;
    for (var i = tid; i < s.n; i += WG) {
        let it = item(i, s.listed);
        if (survives(it, s)) {
            own += mass(it.x, s);
        }
    }
    atomicAdd(&bins[0], own);
    workgroupBarrier();
    if (tid == 0u) {
        found.x = atomicLoad(&bins[0]);
    }
    return workgroupUniformLoad(&found).x;
}

// Lists the logits no smaller than the maximum of the slice (thread) number `rank` <= WG: at least `rank` of them.
// Returns how many there are; the list is whole if that is at most LIST.
fn gather(rank: u32, tid: u32) -> u32 {
    var top = 0u;
    for (var i = tid; i < params.vocab_size; i += WG) {
        top = max(top, order_key(logits[i]));
    }
    sums[tid] = top;
    if (tid == 0u) {
        atomicStore(&bins[0], 0u);
    }
    workgroupBarrier();
    var before = 0u;
    for (var j = 0u; j < WG; j++) {
        before += u32(sums[j] > top || (sums[j] == top && j < tid));
    }
    if (before + 1u == rank) {
        found.x = top;
    }
    let bound = workgroupUniformLoad(&found).x;
    for (var i = tid; i < params.vocab_size; i += WG) {
        let key = order_key(logits[i]);
        if (key >= bound) {
            let slot = atomicAdd(&bins[0], 1u);
            if (slot < LIST) {
                list[slot] = vec2<u32>(key, i);
            }
        }
    }
    workgroupBarrier();
    if (tid == 0u) {
        found.x = atomicLoad(&bins[0]);
    }
    return workgroupUniformLoad(&found).x;
}

// The survivors of top-k and top-p, and where to find them.
fn filtered(largest: f32, z: f32, tid: u32) -> Search {
    var s = Search(false, params.vocab_size, 0u, NO_ID, largest, 1.0);
    let by_k = sampling.top_k > 0u && sampling.top_k < params.vocab_size;
    let by_p = sampling.top_p < 1.0;
    if (!by_k && !by_p) {
        return s;
    }
    // A power of two, so that the last bits of z do not matter: the masses add up to 2^30 .. 2^31.
    let most = select(z, min(z, f32(sampling.top_k)), by_k);
    if (tid == 0u) {
        found.x = (284u - (bitcast<u32>(most) >> 23u)) << 23u;
    }
    s.mass_scale = bitcast<f32>(workgroupUniformLoad(&found).x);
    let rank = select(NUCLEUS, sampling.top_k, by_k);
    var listed = s;
    if (rank <= WG) {
        listed.n = gather(rank, tid);
        listed.listed = listed.n <= LIST;
    }
    if (by_k) {
        if (listed.listed) {
            s = listed;
        }
        let cut = find_cut(false, sampling.top_k, s, tid);
        s.cut_key = cut.x;
        s.cut_id = cut.y;
    }
    if (by_p) {
        let total = total_mass(s, tid);
        let wanted = clamp(u32(ceil(sampling.top_p * f32(total))), 1u, total);
        if (!by_k && listed.listed) {
            if (total_mass(listed, tid) >= wanted) {
                s = listed;
            }
        }
        let cut = find_cut(true, wanted, s, tid);
        s.cut_key = cut.x;
        s.cut_id = cut.y;
    }
    return s;
}

fn draw(s: Search, key: vec2<u32>, tid: u32) -> u32 {
    // Not above 0 however log rounds: the largest logit stays.
    var least = -100.0;
    if (sampling.min_p > 0.0) {
        least = min(log(sampling.min_p), 0.0);
    }
    var best = -1000.0;
    var best_id = NO_ID;
    for (var i = tid; i < s.n; i += WG) {
        let it = item(i, s.listed);
        if (survives(it, s)) {
            let x = scaled(it.x, s.largest);
            if (x >= least && x + GUMBEL_MAX >= best) {
                let score = x + gumbel(random_word(key, it.y));
                if (score > best || (score == best && it.y < best_id)) {
                    best = score;
                    best_id = it.y;
                }
            }
        }
    }
    return workgroup_argmax(order_key(best), best_id, tid).y;
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) tid: u32) {
    let draws = state[2];
    storageBarrier(); // all have read it before it is written
    var key = 0u;
    var id = NO_ID;
    for (var c = tid; c < params.n_chunks; c += WG) {
        let candidate = order_key(chunks[c].x);
        if (candidate > key) {
            key = candidate;
            id = u32(chunks[c].y);
        }
    }
    let top = workgroup_argmax(key, id, tid);
    var token = top.y;
    if (sampling.temperature > 0.0) {
        var z = 0.0;
        for (var c = tid; c < params.n_chunks; c += WG) {
            z += chunks[c].z * exp(scaled(order_key(chunks[c].x), order_value(top.x)));
        }
        z = workgroup_sum(z, tid, 1u);
        let survivors = filtered(order_value(top.x), z, tid);
        token = draw(survivors, random_key(sampling.seed, draws), tid);
    }
    if (tid == 0u) {
        token = min(token, params.vocab_size - 1u); // logits that are not numbers
        ids[0] = token;
        ring[draws % params.ring_len] = token;
        seen[token] = 1u;
        state[0] += state[1];
        state[1] = 1u;
        state[2] = draws + 1u;
    }
}
