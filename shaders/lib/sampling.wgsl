// How tokens are drawn (`Sampling`).

struct Sampling {
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    repetition_penalty: f32,
    seed: u32,
    reserved: vec2<u32>,
}
