//! libFuzzer over one target of `tests/common/fuzz`, which the environment names. Seeds are written to the corpus, the
//! first argument, before libFuzzer reads it.
#![no_main]

#[path = "../tests/common/counting.rs"]
mod counting;
#[path = "../tests/common/fuzz/mod.rs"]
mod fuzz;
#[path = "../tests/common/gguf_writer.rs"]
mod gguf_writer;

use fuzz::Target;
use std::sync::OnceLock;

static TARGET: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("LACEWING_FUZZ_TARGET").expect("LACEWING_FUZZ_TARGET is set by `cargo xtask fuzz`");
        let target = *TARGET.get_or_init(|| fuzz::target(&name));
        let corpus = std::env::args().nth(1).expect("the corpus is the first argument");
        for (i, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(format!("{corpus}/seed-{i}"), seed).expect("the corpus can be written");
        }
    },
    |input: &[u8]| fuzz::run(TARGET.get().expect("set by init"), input)
);
