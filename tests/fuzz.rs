//! The fuzz targets on their seeds, on inputs that were found by fuzzing, and on some thousand mutations of both.
//! Longer: `cargo xtask fuzz`. One test alone, because the counters of the heap are those of the process.

#[path = "common/counting.rs"]
mod counting;
#[path = "common/fuzz/mod.rs"]
mod fuzz;
#[path = "common/gguf_writer.rs"]
mod gguf_writer;
#[path = "common/mutate.rs"]
mod mutate;

use fuzz::{TARGETS, Target, run};
use lacewing::weights::random::Random;
use mutate::mutate;
use std::path::PathBuf;

/// Mutations of a target.
const MUTANTS: u32 = 2000;

/// Inputs that once broke something: `fuzz/found/TARGET/`.
fn found(target: &Target) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/found").join(target.name);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn inputs_of_strangers_neither_crash_nor_take_memory() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} begins with nothing", target.name);
        let inputs: Vec<Vec<u8>> = seeds.into_iter().chain(found(target)).collect();
        inputs.iter().for_each(|input| run(target, input));
        let mut rng = Random::new(8);
        for _ in 0..MUTANTS {
            let input = &inputs[rng.below(inputs.len() as u32) as usize];
            if !input.is_empty() {
                run(target, &mutate(input, &mut rng));
            }
        }
    }
}
