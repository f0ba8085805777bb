// Two neighbouring elements of a KV cache as stored: f32 with KV_F32, else f16, beyond its range the largest of its
// sign.

#if KV_F32
alias KvPair = vec2<f32>;
fn kv_pair(v: vec2<f32>) -> KvPair {
    return v;
}
#else
alias KvPair = u32;
fn kv_pair(v: vec2<f32>) -> KvPair {
    return pack2x16float(clamp(v, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
}
#endif
