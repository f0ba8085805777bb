// A total order of f32s as u32s (larger is larger, -0 equals +0, nothing is flushed), and the workgroup's largest.
// Integers throughout: the result does not depend on the order of reduction, the tier or the driver.

const NO_ID = 0xffffffffu;

fn order_key(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    if (bits == 0x80000000u) {
        return 0x80000000u; // -0, the key of +0
    }
    return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn order_value(key: u32) -> f32 {
    return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

var<workgroup> order_top: atomic<u32>;
var<workgroup> order_id: atomic<u32>;
var<workgroup> order_result: vec2<u32>;

// The largest key of the workgroup and its lowest id, for every thread; a thread without one passes (0, NO_ID).
// Called from uniform control flow; the result is uniform.
fn workgroup_argmax(key: u32, id: u32, tid: u32) -> vec2<u32> {
    if (tid == 0u) {
        atomicStore(&order_top, 0u);
        atomicStore(&order_id, NO_ID);
    }
    workgroupBarrier();
    atomicMax(&order_top, key);
    workgroupBarrier();
    if (key == atomicLoad(&order_top)) {
        atomicMin(&order_id, id);
    }
    workgroupBarrier();
    if (tid == 0u) {
        order_result = vec2<u32>(atomicLoad(&order_top), atomicLoad(&order_id));
    }
    return workgroupUniformLoad(&order_result);
}
