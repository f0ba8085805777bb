// token = argmax over the survivors of (l - max) / temperature + gumbel(seed, draws, id); greedy: of l. Ties go to the
// lowest id. One workgroup; thread t takes items t, t + WG, ...
// All filters keep a prefix of one order (logit down, id up).
//   top-k: the first k. top-p: as many of these as reach p times their mass; masses are rounded to units of about
//   2^-30 of the whole (`mass`), sums and the comparison are exact. min-p: (l - max) / temperature >= ln(min_p).
// Cuts (lib/cut) are searched for in a list of the largest logits in workgroup memory; where that may not hold the
// whole set, in the logits themselves.
// temperature is 0 or in 1e-6..1e6, vocab_size <= 2^24.

#import lib/reduce
#import lib/order
#import lib/cut
#import lib/random
#import lib/sampling
#import lib/state

struct Params {
    vocab_size: u32,
    n_chunks: u32,
    ring_len: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [vocab_size]
@group(0) @binding(2) var<storage, read> chunks: array<vec4<f32>>; // [n_chunks]: max, index, sum, 0
@group(0) @binding(3) var<storage, read> sampling: Sampling;
@group(0) @binding(4) var<storage, read_write> state: State;
@group(0) @binding(5) var<storage, read_write> ids: array<u32>; // [..], word 0 is written
@group(0) @binding(6) var<storage, read_write> seen: array<u32>; // [vocab_size]
@group(0) @binding(7) var<storage, read_write> ring: array<u32>; // [ring_len]

const NUCLEUS = 192u; // of WG slices, the share whose maxima bound the list when there is only top-p

fn scaled(key: u32, largest: f32) -> f32 {
    return max(max(order_value(key) - largest, -1e30) / sampling.temperature, -80.0);
}

fn mass(key: u32, s: Search) -> u32 {
    return u32(exp(scaled(key, s.largest)) * s.mass_scale + 0.5);
}

// The survivors of top-k and top-p, and where to find them.
fn filtered(largest: f32, z: f32, tid: u32) -> Search {
    var s = Search(false, params.vocab_size, 0u, NO_ID, largest, 1.0);
    let by_k = sampling.top_k > 0u && sampling.top_k < params.vocab_size;
    let by_p = sampling.top_p < 1.0;
    if (!by_k && !by_p) {
        return s;
    }
    // A power of two, so that the last bits of z do not matter: the masses add up to at most 2^31.
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
    let draws = state.draws;
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
        state.position += state.n_tokens;
        state.row += state.n_tokens;
        state.n_tokens = 1u;
        state.draws = draws + 1u;
    }
}
