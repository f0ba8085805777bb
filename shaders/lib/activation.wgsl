// activation(x) of a gated FFN: SILU x*sigmoid(x), GELU_TANH (tanh approximation) or RELU, chosen by flag.
// Arguments of exp and tanh are clamped: some drivers overflow to infinity and may assume there is none.

#if SILU
fn activation(x: f32) -> f32 {
    return x / (1.0 + exp(min(-x, 80.0)));
}
#endif
#if GELU_TANH
fn activation(x: f32) -> f32 {
    let u = 0.7978845608 * x * (1.0 + 0.044715 * x * x);
    return 0.5 * x * (1.0 + tanh(clamp(u, -10.0, 10.0)));
}
#endif
#if RELU
fn activation(x: f32) -> f32 {
    return max(x, 0.0);
}
#endif
