//! The TypeScript that says again what Rust says: error codes and `stats()`. After a change of either, write it anew with
//! `LACEWING_WRITE=1 cargo test --test typescript`.

use lacewing::Error;
use lacewing::session::Stats;
use std::fmt::Write as _;

const HEADER: &str = "// Made by `LACEWING_WRITE=1 cargo test --test typescript`; do not edit.\n\n";

fn error_codes() -> String {
    let mut text = format!(
        "{HEADER}/** Every way in which Lacewing fails; the strings never change. */\nexport const ERROR_CODES = [\n"
    );
    for (code, doc) in Error::CODES {
        writeln!(text, "  /** {} */\n  \"{code}\",", doc.trim()).unwrap();
    }
    text + "] as const;\n\n/** One of {@link ERROR_CODES}. */\nexport type ErrorCode = (typeof ERROR_CODES)[number];\n"
}

fn engine_stats() -> String {
    let mut text = format!(
        "{HEADER}/** `session::Stats`: facts and counters of a model as the engine knows them. */\nexport interface EngineStats {{\n"
    );
    for (name, rust, doc) in Stats::FIELDS {
        let ts = match *rust {
            "String" => "string",
            "bool" => "boolean",
            "u32" | "u64" | "usize" | "f32" | "f64" => "number",
            other => panic!("say here what {name}: {other} is in TypeScript"),
        };
        writeln!(text, "  /** {} */\n  {}: {ts};", doc.trim(), camel_case(name)).unwrap();
    }
    text + "}\n"
}

/// As `camelCase` of `pkg/src/local.ts` does it.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_string();
    words.fold(first, |all, word| all + &word[..1].to_uppercase() + &word[1..])
}

fn check(path: &str, expected: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("LACEWING_WRITE").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is stale: run `LACEWING_WRITE=1 cargo test --test typescript`", path.display());
}

#[test]
fn error_codes_are_those_of_rust() {
    check("pkg/src/error-codes.ts", &error_codes());
}

#[test]
fn stats_are_those_of_rust() {
    check("pkg/src/engine-stats.ts", &engine_stats());
}

/// A code that the README does not explain is a code that nobody can rely on.
#[test]
fn the_readme_names_every_code() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/pkg/README.md")).unwrap();
    for (code, _) in Error::CODES {
        assert!(readme.contains(&format!("`{code}`")), "pkg/README.md does not name {code}");
    }
}
