// out[w] = xor of the words that workgroup w reads: a plain read of a buffer, the yardstick for every other kernel.
// Thread -> output: thread t of workgroup w reads vec4 number (i * n_workgroups + w) * WG + t for i = 0, 1, ...

struct Params {
    n_vec4: u32,
    n_workgroups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> data: array<vec4<u32>>; // [n_vec4]
@group(0) @binding(2) var<storage, read_write> out: array<u32>; // [n_workgroups]

var<workgroup> partial: array<u32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) tid: u32) {
    var acc = vec4<u32>(0u);
    let stride = params.n_workgroups * WG;
    for (var i = group.x * WG + tid; i < params.n_vec4; i += stride) {
        acc ^= data[i];
    }
    partial[tid] = acc.x ^ acc.y ^ acc.z ^ acc.w;
    workgroupBarrier();
    if (tid == 0u) {
        var all = 0u;
        for (var i = 0u; i < WG; i++) {
            all ^= partial[i];
        }
        out[group.x] = all;
    }
}
