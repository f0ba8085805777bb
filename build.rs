//! Lists `shaders/**/*.wgsl` as a table `(path without extension, text)`, so that a new shader needs no registration.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "wgsl") {
            found.push(path);
        }
    }
}

fn name_of(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).expect("collected below the root").with_extension("");
    relative.to_str().expect("shader paths are ASCII").replace('\\', "/")
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shaders");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("shaders");
    let mut found = Vec::new();
    collect(&root, &mut found);
    let mut names: Vec<String> = found.iter().map(|path| name_of(&root, path)).collect();
    names.sort(); // as strings: the look-up is a binary search
    let mut table = String::from("/// Every shader file: path below `shaders/` without `.wgsl`, text.\n");
    table += "pub static SHADERS: &[(&str, &str)] = &[\n";
    for name in &names {
        writeln!(
            table,
            "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/shaders/{name}.wgsl\"))),"
        )
        .expect("writing to a string");
    }
    table += "];\n";
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo")).join("shaders.rs");
    std::fs::write(out, table).expect("the output folder of cargo is writable");
}
