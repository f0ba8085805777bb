// Seen logits: l > 0 ? l / penalty : l * penalty, in place. Then per chunk: (max, its lowest index, sum of
// exp((l - max) / temperature), or 0 when the temperature is 0).
// One workgroup per chunk of CHUNK logits. Indices are exact as f32: vocab_size <= 2^24.

#import lib/reduce
#import lib/order
#import lib/sampling

struct Params {
    vocab_size: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>; // [vocab_size]
@group(0) @binding(2) var<storage, read> seen: array<u32>; // [vocab_size]
@group(0) @binding(3) var<storage, read> sampling: Sampling;
@group(0) @binding(4) var<storage, read_write> chunks: array<vec4<f32>>; // [n_chunks]: max, index, sum, 0

// Masks of -3e38 must stay finite.
fn penalised(l: f32, penalty: f32) -> f32 {
    if (l > 0.0) {
        return l / penalty;
    }
    return max(l, -1e38) * penalty;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) tid: u32,
#if SUBGROUPS
    @builtin(subgroup_size) sg: u32,
#endif
) {
#if !SUBGROUPS
    let sg = 1u;
#endif
    let penalty = sampling.repetition_penalty;
    let start = group.x * CHUNK;
    let end = min(start + CHUNK, params.vocab_size);
    var key = 0u;
    var id = NO_ID;
    for (var i = start + tid; i < end; i += WG) {
        var l = logits[i];
        if (penalty != 1.0 && seen[i] != 0u) {
            l = penalised(l, penalty);
            logits[i] = l;
        }
        let candidate = order_key(l);
        if (candidate > key) {
            key = candidate;
            id = i;
        }
    }
    let top = workgroup_argmax(key, id, tid);
    let largest = order_value(top.x);
    var sum = 0.0;
    if (sampling.temperature > 0.0) {
        for (var i = start + tid; i < end; i += WG) {
            sum += exp(max(max(logits[i] - largest, -1e30) / sampling.temperature, -80.0));
        }
    }
    sum = workgroup_sum(sum, tid, sg);
    if (tid == 0u) {
        chunks[group.x] = vec4<f32>(largest, f32(top.y), sum, 0.0);
    }
}
