//! The table of cases: small models, each with one habit of real files, and what comes of them. The files are made by
//! `tests/goldens/cases/make.py`.

use lacewing::execute::cpu::CpuExecutor;
use lacewing::formats::source::open_files;
use lacewing::session::{GenerateOptions, LoadOptions, Model};
use lacewing::{Error, Result};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

const TABLE: &str = include_str!("goldens/cases/cases.json");

/// Writes the files of the table into a fresh folder.
fn unpack(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&include_bytes!("goldens/cases/cases.bin")[..]).read_to_end(&mut bytes).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let files: Vec<(String, usize)> = serde_json::from_slice(&bytes[..end]).unwrap();
    let mut rest = &bytes[end + 1..];
    for (path, len) in files {
        let (file, after) = rest.split_at(len);
        rest = after;
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    assert!(rest.is_empty());
}

/// What a prompt gives, as `session.prompt` of the package would: chat where there is a template.
async fn outcome(source: &Path, prompt: &str) -> std::result::Result<Value, (&'static str, Error)> {
    let load = async || -> Result<Model> {
        let files = open_files(source.to_str().unwrap())?;
        Model::load(files, Box::new(CpuExecutor::default()), LoadOptions::default(), &mut |_| {}).await
    };
    let mut model = load().await.map_err(|e| ("load", e))?;
    let reply = async |model: &mut Model| -> Result<Value> {
        let ids = match model.has_chat_template() {
            true => model.tokenize_chat(&json!([{ "role": "user", "content": prompt }]), &Value::Null)?,
            false => model.tokenize(prompt, true)?,
        };
        let options = GenerateOptions { max_tokens: Some(6), temperature: Some(0.0), ..Default::default() };
        model.begin(&ids, &options).await?;
        let mut text = String::new();
        while let Some(piece) = model.next().await? {
            text += &piece.text;
        }
        Ok(json!({ "promptTokens": ids.len(), "text": text, "ids": model.tokenize(prompt, true)? }))
    };
    reply(&mut model).await.map_err(|e| ("prompt", e))
}

#[test]
fn every_case_gives_what_the_table_says() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases");
    unpack(&folder);
    let table: Vec<Value> = serde_json::from_str(TABLE).unwrap();
    let mut wrong = Vec::new();
    for case in &table {
        let source = case["source"].as_str().unwrap();
        let found = pollster::block_on(outcome(&folder.join(source), case["prompt"].as_str().unwrap()));
        let (found, message) = match found {
            Ok(found) => (found, String::new()),
            Err((at, error)) => (json!({ "at": at, "error": error.code() }), error.to_string()),
        };
        // What depends on the day is left out of the table.
        let keys = case["expect"].as_object().filter(|keys| !keys.is_empty()).expect("an expectation");
        if keys.iter().any(|(key, value)| found[key] != *value) {
            wrong.push(format!("{source}: expected {}, found {found} {message}", case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

#[test]
fn no_file_is_without_a_case() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases-names");
    unpack(&folder);
    let table: Vec<Value> = serde_json::from_str(TABLE).unwrap();
    for kind in ["gguf", "hf", "odd", "more"] {
        for entry in std::fs::read_dir(folder.join(kind)).unwrap() {
            let source = format!("{kind}/{}", entry.unwrap().file_name().to_str().unwrap());
            assert!(table.iter().any(|case| case["source"] == source.as_str()), "{source} has no case");
        }
    }
}
