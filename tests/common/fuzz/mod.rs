//! What is fuzzed: one [`Target`] per kind of input that strangers write. `fuzz/` runs them under libFuzzer, for as long
//! as one likes; `tests/fuzz.rs` runs their seeds and some mutations of them with the other tests.

mod files;
mod http;
mod text;

use crate::counting::measured;

/// One kind of input.
pub struct Target {
    /// Name of the libFuzzer binary.
    pub name: &'static str,
    /// Inputs to begin with, all of them valid.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads the input; panics where it finds a fault.
    pub read: fn(&[u8]),
    /// Bytes that may be held besides four per byte of the input: what the code needs for an input of any size.
    pub constant: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[files::GGUF, files::SAFETENSORS, text::TOKENIZER, text::TEMPLATE, http::HTTP];

/// Runs `target` on one input and holds it to its memory. Inputs are short, so a count that is believed before the
/// bytes behind it were seen stands out.
pub fn run(target: &Target, input: &[u8]) {
    let ((), peak) = measured(|| (target.read)(input));
    let most = 4 * input.len() + target.constant;
    assert!(
        peak <= most,
        "{}: {peak} bytes held for an input of {}; at most {most} are allowed",
        target.name,
        input.len()
    );
}

/// The target of that name.
#[allow(dead_code)] // the test runs them all
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("there is no fuzz target {name}"))
}
