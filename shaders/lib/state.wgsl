// The step state (`StepState`), which `sample` advances.

struct State {
    position: u32, // rope angle of the first token of this step
    n_tokens: u32,
    draws: u32,
    row: u32, // of the first token in the caches of a head that lost nothing; row - gone[head] in general
    reserved: vec4<u32>,
}
