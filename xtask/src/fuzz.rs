//! `cargo xtask fuzz [TARGET..] [--seconds N]`: builds `fuzz/` with coverage counters and lets libFuzzer run each target.

use crate::root;
use std::path::Path;
use std::process::Command;

/// The names in `tests/common/fuzz`.
const TARGETS: &[&str] = &["gguf", "safetensors", "tokenizer_json", "chat_template", "http"];

/// What libFuzzer needs, by flags that stable compilers take, too.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// Seconds after which one input counts as a hang.
const HANG: u32 = 10;

pub fn run(args: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut targets, mut seconds) = (Vec::new(), 300);
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => {
                let value = args.next().ok_or("--seconds needs a number")?;
                seconds = value.parse::<u32>().map_err(|e| format!("--seconds {value}: {e}"))?;
            }
            name if TARGETS.contains(&name) => targets.push(arg),
            name => return Err(format!("there is no fuzz target {name}; there are {}", TARGETS.join(", "))),
        }
    }
    if targets.is_empty() {
        targets = TARGETS.iter().map(|t| t.to_string()).collect();
    }
    let host = host()?;
    let build = root().join("target/fuzz");
    // With --target, build scripts and macros are compiled without the counters.
    let status = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target",
            &host,
            "--target-dir",
        ])
        .arg(&build)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"))
        .current_dir(root())
        .status()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    if !status.success() {
        return Err(format!("fuzz/ does not build ({status})"));
    }
    let program = build.join(&host).join("release/fuzz");
    targets.iter().try_for_each(|target| fuzz(&program, &build, target, seconds))
}

/// Inputs that break something are left in `target/fuzz/found/TARGET`; mend the fault and move them to `fuzz/found`.
fn fuzz(program: &Path, build: &Path, target: &str, seconds: u32) -> Result<(), String> {
    println!("\n== {target}, {seconds} s");
    let (corpus, found) = (build.join("corpus").join(target), build.join("found").join(target));
    for folder in [&corpus, &found] {
        std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    }
    let kept = root().join("fuzz/found").join(target);
    let status = Command::new(program)
        .arg(&corpus)
        .args(kept.is_dir().then_some(&kept))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={HANG}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args(["-print_final_stats=1", "-rss_limit_mb=2048"])
        .env("LACEWING_FUZZ_TARGET", target)
        .status()
        .map_err(|e| format!("cannot run the fuzzer: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{target}: see {} ({status})", found.display())) }
}

/// The triple that rustc compiles for by default.
fn host() -> Result<String, String> {
    let out = Command::new("rustc").args(["-vV"]).output().map_err(|e| format!("cannot run rustc: {e}"))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_string).ok_or_else(|| "rustc does not say its host".to_string())
}
