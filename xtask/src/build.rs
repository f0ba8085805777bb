//! cargo -> wasm-bindgen -> wasm-opt -> tsc, then the size budgets.

use crate::{root, run_command};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};
use wasm_bindgen_cli_support::Bindgen;

/// Most bytes of `lacewing_bg.wasm`, gzipped.
const WASM_BUDGET: usize = 1_600_000;
/// Most bytes of all JavaScript in `pkg/dist`, each file gzipped by itself.
const JS_BUDGET: usize = 40_000;

/// What the demo needs of `models/lacewing-tiny`.
const TINY_FILES: &[&str] =
    &["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];

/// WebAssembly features that rustc emits for wasm32-unknown-unknown, in wasm-opt's words.
const WASM_FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-call-indirect-overlong",
];

/// What to build.
#[derive(Default)]
pub struct Flags {
    /// Keep the wasm of the last build; compile only TypeScript.
    only_js: bool,
    /// Report the sizes without failing.
    no_check_sizes: bool,
}

impl Flags {
    /// Reads the arguments after `build`.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Flags, String> {
        let mut flags = Flags::default();
        for arg in args {
            match arg.as_str() {
                "--only-js" => flags.only_js = true,
                "--no-check-sizes" => flags.no_check_sizes = true,
                other => return Err(format!("unknown flag {other} of `build`")),
            }
        }
        Ok(flags)
    }
}

/// Builds `pkg/dist` and `www/dist`.
pub fn run(flags: &Flags) -> Result<(), String> {
    let dist = root().join("pkg/dist");
    if !flags.only_js {
        // Nothing of a file that is gone from the sources may reach the package.
        for old in [&dist, &root().join("www/dist")] {
            if old.exists() {
                fs::remove_dir_all(old).map_err(|e| format!("cannot empty {}: {e}", old.display()))?;
            }
        }
        fs::create_dir_all(&dist).map_err(|e| format!("cannot create {}: {e}", dist.display()))?;
        build_wasm(&dist)?;
    }
    let tsc = tool("node_modules/typescript/bin/tsc")?;
    // Comments are for those who read declarations; in the JavaScript they would be downloaded.
    run_command("node", &[&tsc, "-p", "pkg", "--emitDeclarationOnly"])?;
    run_command("node", &[&tsc, "-p", "pkg", "--declaration", "false", "--removeComments"])?;
    // The demo carries the package: www/ alone can be put on any static host.
    copy_tree(&dist, &root().join("www/dist/lacewing"))?;
    // And the model that it loads by default.
    for file in TINY_FILES {
        copy_file(&root().join("models/lacewing-tiny").join(file), &root().join("www/dist/lacewing-tiny").join(file))?;
    }
    run_command("node", &[&tsc, "-p", "www"])?;
    check_sizes(&dist, flags.no_check_sizes)
}

fn build_wasm(dist: &Path) -> Result<(), String> {
    run_command(
        "cargo",
        &["build", "--package", "lacewing", "--lib", "--target", "wasm32-unknown-unknown", "--profile", "wasm"],
    )?;
    let input = target_dir().join("wasm32-unknown-unknown/wasm/lacewing.wasm");
    // `omit_default_module_path`: pkg/src/wasm.ts is the one place that names the file, so bundlers emit it once.
    Bindgen::new()
        .input_path(&input)
        .out_name("lacewing")
        .web(true)
        .and_then(|bindgen| {
            bindgen.omit_default_module_path(true).reset_state_function(true).typescript(true).generate(dist)
        })
        .map_err(|e| format!("wasm-bindgen failed on {}: {e}", input.display()))?;
    strip_docs(&dist.join("lacewing.js"))?;
    let wasm = dist.join("lacewing_bg.wasm");
    let wasm = wasm.to_str().ok_or("the path of the repository is not UTF-8")?;
    let wasm_opt = tool("node_modules/binaryen/bin/wasm-opt")?;
    let mut args = vec![wasm_opt.as_str(), "-O3", "--strip-debug", "--strip-producers"];
    args.extend(WASM_FEATURES);
    args.extend([wasm, "-o", wasm]);
    run_command("node", &args)
}

/// Takes the documentation out of wasm-bindgen's JavaScript: `lacewing.d.ts` has it, too, and no page needs to load it.
fn strip_docs(js: &Path) -> Result<(), String> {
    let text = fs::read_to_string(js).map_err(|e| format!("cannot read {}: {e}", js.display()))?;
    let mut inside = false;
    let kept = text.lines().filter(|line| {
        inside |= line.trim_start().starts_with("/**");
        let doc = inside;
        inside &= !line.trim_end().ends_with("*/");
        !doc
    });
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    fs::write(js, kept).map_err(|e| format!("cannot write {}: {e}", js.display()))
}

/// Where cargo puts its output: as cargo itself decides it for the two usual ways of setting it.
fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Path of a tool from npm, or what to do when it is missing.
fn tool(path: &str) -> Result<String, String> {
    if root().join(path).exists() { Ok(path.to_string()) } else { Err(format!("{path} is missing: run `npm ci`")) }
}

fn check_sizes(dist: &Path, only_report: bool) -> Result<(), String> {
    let mut js = Vec::new();
    collect(dist, &mut js)?;
    let js_bytes = js.iter().map(|path| gzipped(path)).sum::<Result<usize, String>>()?;
    let wasm_bytes = gzipped(&dist.join("lacewing_bg.wasm"))?;
    println!("lacewing_bg.wasm  {wasm_bytes:>9} bytes gzipped (budget {WASM_BUDGET})");
    println!("*.js              {js_bytes:>9} bytes gzipped (budget {JS_BUDGET})");
    if only_report || (wasm_bytes <= WASM_BUDGET && js_bytes <= JS_BUDGET) {
        Ok(())
    } else {
        Err("the package is over its size budget".to_string())
    }
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    let cannot = |e: std::io::Error| format!("cannot copy {}: {e}", from.display());
    for entry in fs::read_dir(from).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let cannot = |e: std::io::Error| format!("cannot copy {} to {}: {e}", from.display(), to.display());
    fs::create_dir_all(to.parent().expect("a file lies in a folder")).map_err(cannot)?;
    fs::copy(from, to).map(|_| ()).map_err(cannot)
}

fn collect(dir: &Path, js: &mut Vec<PathBuf>) -> Result<(), String> {
    let cannot = |e: std::io::Error| format!("cannot list {}: {e}", dir.display());
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_dir() {
            collect(&path, js)?;
        } else if path.extension().is_some_and(|e| e == "js") {
            js.push(path);
        }
    }
    Ok(())
}

fn gzipped(path: &Path) -> Result<usize, String> {
    let bytes = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes).and_then(|()| encoder.finish()).map(|z| z.len()).map_err(|e| e.to_string())
}
