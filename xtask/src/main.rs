//! `cargo xtask setup` checks the tools; `cargo xtask build` makes `pkg/dist` and holds it to its size budgets;
//! `cargo xtask fuzz` looks for inputs that break us.

mod build;
mod fuzz;
mod setup;

use std::{path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let result = match args.next().as_deref() {
        Some("setup") => setup::run(),
        Some("build") => build::Flags::parse(args).and_then(|flags| build::run(&flags)),
        Some("fuzz") => fuzz::run(args),
        _ => Err("usage: cargo xtask setup | build [--no-check-sizes] [--only-js] | fuzz [TARGET..] [--seconds N]"
            .to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: the parent of this crate.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_path_buf()
}

/// Runs a command in the repository's root, output shown; an error when it cannot start or does not succeed.
fn run_command(program: &str, args: &[&str]) -> Result<(), String> {
    let status = std::process::Command::new(program)
        .args(args)
        .current_dir(root())
        .status()
        .map_err(|e| format!("cannot run `{program}`: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{program} {}` failed ({status})", args.join(" "))) }
}
