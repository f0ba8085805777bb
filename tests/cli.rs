//! The command line where its output goes nowhere. `inspect` and `bench` need a GPU or lavapipe.

use std::process::{Command, Output, Stdio};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/hf/llama-bias");
const GGUF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/gguf-models/llama-Q4_0.gguf");

fn lacewing(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacewing"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Every command, and each way that it writes.
fn printing() -> Vec<Vec<&'static str>> {
    let on_cpu = ["--device", "cpu"];
    let generate = ["generate", GGUF, "--prompt", "a", "--max-tokens", "3", "--temperature", "0", "--ignore-eos"];
    let kernel = ["bench", "--kernel", "rms_norm", "--repeats", "1"];
    let bench = ["bench", "--synthetic", "tiny:q4", "--prompt", "2", "--tokens", "6", "--repeats", "1"];
    let logits =
        ["logits", MODEL, "--ids", "1,5", "--out", concat!(env!("CARGO_TARGET_TMPDIR"), "/logits.safetensors")];
    vec![
        vec!["--help"],
        vec!["generate", "--help"],
        vec!["--version"],
        vec!["inspect", GGUF],
        vec!["inspect", MODEL, "--json"],
        [&generate[..], &on_cpu].concat(),
        [&generate[..], &on_cpu, &["--json"]].concat(),
        [&logits[..], &on_cpu].concat(),
        kernel.to_vec(),
        [&kernel[..], &["--json"]].concat(),
        [&bench[..], &["--profile"]].concat(),
        [&bench[..], &["--json"]].concat(),
    ]
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for args in printing() {
        let mut child = lacewing(&args).spawn().expect("the CLI runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let text = stderr(&output);
        assert!(output.status.success(), "{args:?}: {:?} {text}", output.status);
        assert!(!text.contains("panicked") && !text.contains("error"), "{args:?}: {text}");
    }
}

#[test]
fn nobody_needs_to_read_stderr() {
    for (args, ok) in [(vec!["inspect", GGUF], true), (vec!["inspect", "/nowhere.gguf"], false)] {
        let mut child = lacewing(&args).env("RUST_LOG", "debug").spawn().expect("the CLI runs");
        drop(child.stderr.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(i32::from(!ok)), "{args:?}");
        assert_ne!(output.stdout.is_empty(), ok, "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has /dev/full");
    let mut all = printing();
    let out = vec!["logits", MODEL, "--ids", "1,5", "--device", "cpu", "--out", "/dev/full"];
    all.push(out);
    for args in all {
        let output = lacewing(&args).stdout(full()).output().expect("the CLI runs");
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        let told = text.contains("error[bad-request]: cannot write ") && text.contains("No space left");
        assert!(told && !text.contains("panicked"), "{args:?}: {text}");
    }
}

/// Before a model is loaded: these name none that exists.
#[test]
fn a_wrong_option_is_named_with_its_value_and_range() {
    for (option, value, range) in [
        ("--seed", "9007199254740993", "0 to 9007199254740992"),
        ("--seed", "-1", "0 to 9007199254740992"),
        ("--top-k", "-1", "0 to 4294967295"),
        ("--max-tokens", "Infinity", "0 to 4294967295"),
        ("--max-tokens", "4294967296", "0 to 4294967295"),
        ("--temperature", "-1", "between 1e-6 and 100"),
        ("--top-p", "1.5", "above 0 and at most 1"),
        ("--min-p", "NaN", "between 0 and 1"),
        ("--repetition-penalty", "9", "between 0.01 and 3"),
    ] {
        let args = ["generate", "/nowhere.gguf", "--prompt", "a", option, value];
        let output = lacewing(&args).output().expect("the CLI runs");
        let text = stderr(&output);
        let named = [option, value, range].iter().all(|part| text.contains(part));
        assert!(!output.status.success() && named, "{option} {value}: {text}");
    }
    // A time in milliseconds is a seed.
    let args = ["generate", GGUF, "--prompt", "a", "--max-tokens", "1", "--seed", "1764000000000", "--device", "cpu"];
    let output = lacewing(&args).output().expect("the CLI runs");
    assert!(output.status.success(), "{}", stderr(&output));
}
