//! The arrows of `src/lib.rs`: each module uses only what lies to its right, and only `gpu` names wgpu.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Module -> what it may use; what these may use, it may use too. Everything may use `error`.
const ARROWS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("formats", &["error"]),
    ("weights", &["formats"]),
    ("kernels", &["weights"]),
    ("execute", &["kernels"]),
    ("gpu", &["execute"]),
    ("text", &["formats", "clock"]),
    ("decode", &["error"]),
    ("clock", &[]),
    ("model", &["execute"]),
    ("state", &["model"]),
    ("session", &["text", "decode", "state", "model", "clock"]),
    ("inspect", &["model", "text"]),
    ("web", &["session", "gpu"]),
];

fn may_use(module: &str) -> Option<BTreeSet<&'static str>> {
    let (_, direct) = ARROWS.iter().find(|(name, _)| *name == module)?;
    let mut all: BTreeSet<&str> = direct.iter().copied().collect();
    for next in *direct {
        all.extend(may_use(next).expect("arrows point at modules of the table"));
    }
    Some(all)
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Lines of code: without comments, and without the unit tests at the end of a file, which may reach anywhere.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    lines.map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
}

/// First segments of the `crate::` paths of a line, `crate::{a::X, b}` included.
fn crate_paths(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let ident = |s: &str| -> String { s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
        match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0;
                for part in list.split_inclusive(['{', '}', ',']) {
                    if depth == 0 {
                        found.push(ident(part.trim()));
                    }
                    depth += part.matches('{').count() as i32 - part.matches('}').count() as i32;
                }
            }
            None => found.push(ident(rest)),
        }
    }
    found.retain(|name| name.starts_with(|c: char| c.is_lowercase()));
    found
}

#[test]
fn modules_use_only_what_lies_to_their_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    let mut checked = 0;
    for file in &files {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if module == "lib" || module == "bin" {
            continue;
        }
        let Some(allowed) = may_use(module) else {
            wrong.push(format!("{}: module `{module}` is not in the table of this test", relative.display()));
            continue;
        };
        let text = std::fs::read_to_string(file).unwrap();
        for (number, line) in code(&text) {
            for used in crate_paths(line) {
                checked += 1;
                let known = ARROWS.iter().any(|(name, _)| *name == used);
                if known && used != module && used != "error" && !allowed.contains(used.as_str()) {
                    wrong.push(format!("{}:{number}: `{module}` may not use `{used}`", relative.display()));
                }
            }
        }
    }
    assert!(checked > 20, "only {checked} paths found: the test looks at the wrong lines");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_gpu_names_wgpu() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    let mut inside = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let named = code(&text).filter(|(_, line)| line.contains("wgpu::")).map(|(number, _)| number);
        if file.starts_with(root.join("gpu")) {
            inside += named.count();
        } else {
            wrong.extend(named.map(|n| format!("{}:{n} names wgpu", file.strip_prefix(&root).unwrap().display())));
        }
    }
    assert!(inside > 20, "src/gpu names wgpu only {inside} times: the test looks at the wrong lines");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn paths_are_found() {
    assert_eq!(crate_paths("use crate::{error::{Error, Result}, gpu::Gpu, text};"), ["error", "gpu", "text"]);
    assert_eq!(crate_paths("    let x: crate::model::Spec = crate::Error::new();"), ["model"]);
    assert!(crate_paths("other_crate::gpu").is_empty());
    assert!(may_use("session").unwrap().contains("kernels") && !may_use("session").unwrap().contains("gpu"));
}
