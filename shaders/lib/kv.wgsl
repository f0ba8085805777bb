// Four neighbouring elements of a KV cache [row][n_kv_heads * head_dim]: KvQuad as stored, kv_quad() as f32.
// KV_F32: plain; otherwise f16, whose bytes are the same with and without the F16 tier.

#if KV_F32
alias KvQuad = vec4<f32>;
fn kv_quad(q: KvQuad) -> vec4<f32> {
    return q;
}
#else
#if F16
alias KvQuad = vec4<f16>;
fn kv_quad(q: KvQuad) -> vec4<f32> {
    return vec4<f32>(q);
}
#else
alias KvQuad = vec2<u32>;
fn kv_quad(q: KvQuad) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(q.x), unpack2x16float(q.y));
}
#endif
#endif
