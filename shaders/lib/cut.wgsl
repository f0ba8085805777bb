// Exact cuts of the logits in the order (logit down, id up), for sample. A cut is the last (key, id) kept; it is found
// by radix select: 8 bits of the key at a time, then of the id where ties straddle the cut.
// The importer defines WG = 256 threads, `logits`, `params.vocab_size` (at most 2^24) and fn mass(key, Search) -> u32,
// and calls all but item and survives from uniform control flow.

#import lib/order

const LIST = 1024u; // items of 8 bytes: half of the workgroup memory that every device has

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
