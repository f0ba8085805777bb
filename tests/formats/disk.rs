//! Local paths, and files that other programs wrote.

use super::gguf::parts;
use super::gguf_writer::write;
use super::{code, expect};
use lacewing::formats::gguf::Value;
use lacewing::formats::source::{DirFiles, open_files};
use lacewing::formats::{gguf, safetensors};
use lacewing::model::open::describe;
use pollster::block_on;
use std::path::Path;

#[test]
fn real_files_of_the_disk() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
    let Ok(models) = std::fs::read_dir(format!("{shared}/models")) else {
        println!("skipped: shared/models is not here");
        return;
    };
    let mut seen = 0;
    for path in models.map(|e| e.unwrap().path()) {
        let shown = path.to_str().unwrap();
        let file = if shown.ends_with(".gguf") {
            let (metadata, file) = block_on(gguf::read(&*open_files(shown).unwrap())).unwrap();
            assert_eq!(metadata.str("general.architecture"), Some("llama"));
            assert!(metadata.strings("tokenizer.ggml.tokens").is_some_and(|t| t.len() >= 512));
            file
        } else if path.join("model.safetensors").exists() {
            block_on(safetensors::read(&*open_files(shown).unwrap())).unwrap()
        } else {
            continue;
        };
        seen += 1;
        assert!(file.tensors.len() > 10);
        for t in &file.tensors {
            let data = block_on(file.read(t, 0, t.bytes)).unwrap();
            let values = lacewing::weights::unpack::unpack(t.dtype, &data).unwrap();
            assert!(values.iter().all(|v| v.is_finite() && v.abs() < 1e4), "{shown}: {}", t.name);
        }
    }
    assert!(seen >= 3);
}

#[test]
fn goldens_of_other_writers() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/goldens");
    let Ok(cases) = std::fs::read_dir(format!("{shared}/hf")) else {
        println!("skipped: shared/goldens is not here");
        return;
    };
    for case in cases.map(|e| e.unwrap().path()) {
        let file = block_on(safetensors::read(&*open_files(case.to_str().unwrap()).unwrap()));
        assert!(file.is_ok_and(|f| f.tensors.len() > 5), "{}", case.display());
    }
    for name in ["Q4_0", "Q8_0", "Q4_K_M"] {
        let files = open_files(&format!("{shared}/gguf-models/llama-{name}.gguf")).unwrap();
        assert!(block_on(gguf::read(&*files)).is_ok_and(|(_, f)| f.get("token_embd.weight").is_some()), "{name}");
    }
    let files = open_files(&format!("{shared}/gguf-models/llama-IQ4_XS.gguf")).unwrap();
    expect(block_on(gguf::read(&*files)), "unsupported-format", "IQ4_");
}

#[test]
fn local_paths() {
    let folder = std::env::temp_dir().join(format!("lacewing-formats-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in parts() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::fs::write(folder.join("weights.bin"), b"x").unwrap();
    let shown = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let files = open_files(&shown("model-x-00002-of-00003.gguf")).unwrap();
    assert_eq!(files.main().as_deref(), Some("model-x-00002-of-00003.gguf"));
    assert_eq!(block_on(gguf::read(&*files)).unwrap().1.tensors.len(), 3);
    let files = open_files(folder.to_str().unwrap()).unwrap();
    assert_eq!(files.main(), None);
    assert!(block_on(files.open("config.json")).unwrap().is_none());
    let source = block_on(files.open("weights.bin")).unwrap().unwrap();
    assert_eq!(block_on(source.read(0, 1)).unwrap(), b"x");
    for (offset, len) in [(0, 2), (1, 1), (2, 0), (u64::MAX, 2), (0, u64::MAX)] {
        assert_eq!(code(block_on(source.read(offset, len))), "bad-file");
    }
    assert_eq!(code(open_files(&shown("nothing.gguf")).map(|_| ())), "download-failed");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The kind that a local path is taken for: `ok` for a GGUF.
fn kind(path: &Path) -> &'static str {
    code(open_files(path.to_str().unwrap()).and_then(|files| block_on(describe(&*files))))
}

#[test]
fn the_first_bytes_of_a_file_say_what_it_is() {
    let folder = std::env::temp_dir().join(format!("lacewing-magic-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let gguf = write(&[("general.architecture", Value::String("llama".into()))], &[]);
    let safetensors: &[u8] = b"\x08\0\0\0\0\0\0\0{}      ";
    for (name, bytes, want) in [
        ("sha256-4f1a", &gguf[..], "ok"),
        ("sha256:4f1a", &gguf, "ok"),
        ("C:model:latest", &gguf, "ok"),
        ("model.GGUF", &gguf, "ok"),
        ("model.bin", &gguf, "ok"),
        ("model.gguf.part", &gguf, "ok"),
        ("config.json", &gguf, "ok"),
        ("back\\slash", &gguf, "ok"),
        ("..model", &gguf, "ok"),
        ("model.gguf", b"<html>", "bad-file"),
        ("model", b"", "unsupported-format"),
        ("sha256-00", b"GGML", "unsupported-format"),
        ("model.safetensors", safetensors, "bad-request"),
        ("sha256-11", safetensors, "bad-request"),
        ("pytorch_model.bin", b"PK\x03\x04", "unsupported-format"),
        ("ggml-model.bin", b"tjgg\x03\0\0\0", "unsupported-format"),
    ] {
        // Names that this system does not allow cannot be asked for either.
        if cfg!(unix) || !name.contains([':', '\\']) {
            std::fs::write(folder.join(name), bytes).unwrap();
            assert_eq!(kind(&folder.join(name)), want, "{name}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// As Hugging Face's cache and Ollama keep files: named by their hash, with links or without.
#[cfg(unix)]
#[test]
fn links_into_a_store_of_blobs_are_read() {
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    let folder = std::env::temp_dir().join(format!("lacewing-blobs-{}", std::process::id()));
    let snapshot = folder.join("snapshots/8c1f");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(folder.join("blobs")).unwrap();
    for (i, (name, bytes)) in parts().iter().enumerate() {
        std::fs::write(folder.join(format!("blobs/sha256:{i}")), bytes).unwrap();
        symlink(format!("../../blobs/sha256:{i}"), snapshot.join(name)).unwrap();
        symlink(format!("../../blobs/sha256:{i}"), snapshot.join(name.replace(".gguf", "").replace('x', "x:y")))
            .unwrap();
    }
    for part in ["model-x-00001-of-00003.gguf", "model-x-00003-of-00003.gguf", "model-x:y-00002-of-00003"] {
        let files = open_files(snapshot.join(part).to_str().unwrap()).unwrap();
        assert_eq!(block_on(gguf::read(&*files)).unwrap().1.tensors.len(), 3, "{part}");
    }
    // A part under the name of its hash has no neighbours to be found.
    let files = open_files(folder.join("blobs/sha256:0").to_str().unwrap()).unwrap();
    expect(block_on(gguf::read(&*files)), "bad-file", "NAME-00001-of-00003");
    symlink("nowhere", snapshot.join("broken.gguf")).unwrap();
    assert_eq!(code(open_files(snapshot.join("broken.gguf").to_str().unwrap()).map(|_| ())), "download-failed");
    // A name that is not UTF-8.
    let bytes = write(&[("general.architecture", Value::String("llama".into()))], &[]);
    let raw = folder.join(std::ffi::OsStr::from_bytes(b"model-\xff"));
    std::fs::write(&raw, bytes).unwrap();
    let files = DirFiles::new(&raw).unwrap();
    assert_eq!(code(block_on(describe(&files))), "ok");
    std::fs::remove_dir_all(&folder).unwrap();
}
