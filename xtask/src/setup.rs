//! Checks the tools that the build needs, installs what a user may install for himself, and names the rest.

use crate::{root, run_command};
use std::process::Command;

/// Oldest Node that runs the package and its tools.
const NODE_MAJOR: u32 = 20;
const TARGET: &str = "wasm32-unknown-unknown";

/// Checks everything and lists all that is missing in one message.
pub fn run() -> Result<(), String> {
    let mut missing = Vec::new();
    if let Err(e) = wasm_target() {
        missing.push(e);
    }
    if let Err(e) = node().and_then(|()| npm_packages()) {
        missing.push(e);
    }
    if missing.is_empty() {
        println!("setup: cargo, {TARGET}, node and the npm packages are here");
        Ok(())
    } else {
        Err(format!("something is missing:\n  - {}", missing.join("\n  - ")))
    }
}

/// First line that a program prints, or None when it cannot run.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).current_dir(root()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_string())
}

fn wasm_target() -> Result<(), String> {
    // rustc's own library folder tells, however the target was installed.
    let has = || {
        output("rustc", &["--print", "target-libdir", "--target", TARGET])
            .is_some_and(|dir| std::path::Path::new(&dir).is_dir())
    };
    if has() {
        return Ok(());
    }
    if output("rustup", &["--version"]).is_none() {
        return Err(format!(
            "the standard library for {TARGET}: install Rust with rustup (https://rustup.rs), then run \
             `rustup target add {TARGET}`"
        ));
    }
    run_command("rustup", &["target", "add", TARGET])
        .map_err(|e| format!("the standard library for {TARGET}: `rustup target add {TARGET}` did not work: {e}"))?;
    if has() { Ok(()) } else { Err(format!("{TARGET} is installed for another toolchain than the one in use")) }
}

fn node() -> Result<(), String> {
    let version = output("node", &["--version"])
        .ok_or(format!("Node.js {NODE_MAJOR} or newer: install it from https://nodejs.org"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|m| m.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        _ => Err(format!("Node.js {NODE_MAJOR} or newer; found {version}: install it from https://nodejs.org")),
    }
}

/// Runs `npm ci` unless what is installed is what the lock file says.
fn npm_packages() -> Result<(), String> {
    if installed_matches_lock() {
        return Ok(());
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    run_command(npm, &["ci"]).map_err(|e| format!("the npm packages of package-lock.json: {e}"))
}

/// npm writes node_modules/.package-lock.json after each install: newer than package-lock.json means up to date.
fn installed_matches_lock() -> bool {
    let modified = |path: &str| std::fs::metadata(root().join(path)).and_then(|m| m.modified()).ok();
    match (modified("node_modules/.package-lock.json"), modified("package-lock.json")) {
        (Some(installed), Some(lock)) => installed >= lock,
        _ => false,
    }
}
