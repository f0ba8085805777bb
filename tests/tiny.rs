//! The model that comes with the project: 2:4 as it says, and the same words as transformers says.

use half::bf16;
use lacewing::formats::source::open_files;
use lacewing::gpu::{Gpu, GpuOptions};
use lacewing::session::{FinishReason, GenerateOptions, LoadOptions, Model};
use safetensors::SafeTensors;
use serde_json::{Value, json};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/lacewing-tiny");
/// Written by models/train/evaluate.py: `[{question, prompt_ids, ids (with the end), ended, text, margin}]`.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/lacewing-tiny.json");
const MAX_BYTES: u64 = 8 << 20;

fn load() -> Model {
    let options = GpuOptions { allow_software: true, ..GpuOptions::default() };
    pollster::block_on(async {
        let gpu = Gpu::new(options).await.expect("a GPU, or lavapipe");
        let files = open_files(TINY).unwrap();
        Model::load(files, Box::new(gpu), LoadOptions::default(), &mut |_| {}).await.unwrap()
    })
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn every_linear_layer_is_2_4() {
    let bytes = std::fs::read(format!("{TINY}/model.safetensors")).unwrap();
    assert!(bytes.len() as u64 <= MAX_BYTES, "{} bytes", bytes.len());
    let mut n_linears = 0;
    for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().iter() {
        if tensor.shape().len() != 2 || name.contains("embed_tokens") {
            continue;
        }
        assert_eq!(tensor.shape()[1] % 256, 0, "{name}: input dimension");
        let weights: Vec<bf16> = tensor.data().as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b)).collect();
        for four in weights.as_chunks::<4>().0 {
            assert!(four.iter().filter(|w| w.to_f32() != 0.0).count() <= 2, "{name}: {four:?}");
        }
        n_linears += 1;
    }
    assert_eq!(n_linears, 4 * 7);
}

#[test]
fn the_readme_prints_the_reply() {
    let goldens: Value = serde_json::from_slice(&std::fs::read(GOLDEN).unwrap()).unwrap();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(goldens[0]["question"], "What is 2:4 sparsity?");
    assert!(readme.contains("npm start -- --prompt \"What is 2:4 sparsity?\""));
    assert!(words(&readme).contains(&words(goldens[0]["text"].as_str().unwrap())));
}

#[test]
fn greedy_replies_are_those_of_transformers() {
    let goldens: Value = serde_json::from_slice(&std::fs::read(GOLDEN).unwrap()).unwrap();
    let goldens = goldens.as_array().unwrap();
    assert_eq!(goldens.len(), 20);
    let mut model = load();
    for golden in goldens {
        let question = golden["question"].as_str().unwrap();
        let prompt = model.tokenize_chat(&json!([{"role": "user", "content": question}]), &Value::Null).unwrap();
        assert_eq!(prompt, ids(&golden["prompt_ids"]), "prompt of {question:?}");
        let (found, text) = pollster::block_on(async {
            let options = GenerateOptions { temperature: Some(0.0), ..GenerateOptions::default() };
            model.begin(&prompt, &options).await.unwrap();
            let (mut found, mut text) = (Vec::new(), String::new());
            while let Some(piece) = model.next().await.unwrap() {
                found.extend(piece.ids);
                text += &piece.text;
            }
            (found, text)
        });
        assert_eq!(found, ids(&golden["ids"]), "{question:?}: {text}");
        assert_eq!(text, golden["text"].as_str().unwrap());
        assert_eq!(golden["ended"], true);
        assert_eq!(model.usage().unwrap().finish_reason, FinishReason::Stop, "{question:?} does not end: {text}");
    }
}
