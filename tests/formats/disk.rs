//! Local paths, and files that other programs wrote.

use super::gguf::parts;
use super::{code, expect};
use lacewing::formats::source::open_files;
use lacewing::formats::{gguf, safetensors};
use pollster::block_on;

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
    assert_eq!(code(block_on(files.open("../config.json")).map(|_| ())), "bad-file");
    let source = block_on(files.open("weights.bin")).unwrap().unwrap();
    assert_eq!(block_on(source.read(0, 1)).unwrap(), b"x");
    for (offset, len) in [(0, 2), (1, 1), (2, 0), (u64::MAX, 2), (0, u64::MAX)] {
        assert_eq!(code(block_on(source.read(offset, len))), "bad-file");
    }
    assert_eq!(code(open_files(&shown("weights.bin")).map(|_| ())), "bad-request");
    assert_eq!(code(open_files(&shown("nothing.gguf")).map(|_| ())), "download-failed");
    std::fs::remove_dir_all(&folder).unwrap();
}
