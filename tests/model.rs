//! Whole models against values computed by other people's code: logits by prefill, by one-token decode and in chunks of
//! 7, on the CPU references and on every tier of the GPU, and greedy text. Needs a GPU or a software Vulkan driver.

#![allow(clippy::neg_cmp_op_on_partial_ord)] // !(a <= b) is how a NaN fails

mod common;

use lacewing::execute::Executor;
use lacewing::execute::cpu::CpuExecutor;
use lacewing::formats::source::open_files;
use lacewing::gpu::{Gpu, GpuOptions};
use lacewing::kernels::{Caps, KvType, Tier};
use lacewing::model::plan::Output;
use lacewing::session::{GenerateOptions, LoadOptions, Model};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// max |difference| in units of the standard deviation of the logits. With an f32 cache all is f32 arithmetic in
/// another order, which gives about 1e-5; the contract allows 2e-3, in which a small bug could hide.
const TOLERANCE_F32_KV: f64 = 1e-4;
/// The contract's bound: an f16 cache rounds keys and values.
const TOLERANCE_F16_KV: f64 = 1e-2;

const GOLDENS: &[&str] = &[
    "hf/llama",
    "hf/llama-bias",
    "hf/llama-tied",
    "hf/llama3-rope",
    "hf/llama3-rope-v4",
    "hf/mistral-swa",
    "hf/qwen2",
    "hf/qwen3",
    "hf/gemma3",
    "gguf-models/llama-Q4_0.gguf",
    "gguf-models/llama-Q8_0.gguf",
    "gguf-models/llama-Q4_K_M.gguf",
];

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// Trained models that lie beside the project and may not be part of it. None (with a line that says so) without them.
fn shared_models() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models");
    if !folder.is_dir() {
        println!("skipped: shared/models is not here");
        return None;
    }
    Some(folder)
}

struct Golden {
    ids: Vec<u32>,
    logits: Vec<f32>,
    greedy: Vec<u32>,
    margin: Vec<f32>,
}

fn golden(case: &str) -> Golden {
    let path = goldens().join(case);
    let path = match case.strip_suffix(".gguf") {
        Some(stem) => goldens().join(format!("{stem}.golden.safetensors")),
        None => path.join("golden.safetensors"),
    };
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let f32s = |name| bytemuck::pod_collect_to_vec::<u8, f32>(file.tensor(name).expect(name).data());
    let ids = |name| {
        let words: Vec<i32> = bytemuck::pod_collect_to_vec(file.tensor(name).expect(name).data());
        words.into_iter().map(|id| id as u32).collect()
    };
    Golden { ids: ids("input_ids"), logits: f32s("logits"), greedy: ids("greedy"), margin: f32s("margin") }
}

fn gpu(tier: Tier) -> Box<dyn Executor> {
    let options = GpuOptions { tier: Some(tier), allow_software: true, ..GpuOptions::default() };
    Box::new(
        pollster::block_on(Gpu::new(options)).expect("these tests need a GPU with all tiers (lavapipe of Mesa 25)"),
    )
}

fn load(path: &Path, executor: Box<dyn Executor>, kv_type: KvType) -> Model {
    let files = open_files(path.to_str().expect("UTF-8")).expect("the files open");
    let options = LoadOptions { kv_type, ..LoadOptions::default() };
    let model = pollster::block_on(Model::load(files, executor, options, &mut |_| {}));
    model.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn std_of(values: &[f32]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// Every position within `tolerance` standard deviations; NaN fails.
fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: number of logits");
    let std = std_of(expected);
    assert!(std > 1e-3, "{what}: the expected logits are degenerate");
    let mut worst = (0, 0.0f64);
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let diff = (f64::from(*a) - f64::from(*b)).abs() / std;
        if !(diff <= worst.1) {
            worst = (i, diff);
        }
        assert!(!diff.is_nan(), "{what}: NaN at {i} (found {a}, expected {b})");
    }
    assert!(
        worst.1 <= tolerance,
        "{what}: off by {:.2e} std at {} (found {}, expected {}), allowed {tolerance:e}; \
         `lacewing logits MODEL --ids ... --bisect` names the step",
        worst.1,
        worst.0,
        found[worst.0],
        expected[worst.0]
    );
}

fn logits(model: &mut Model, ids: &[u32], chunk: Option<u32>) -> Vec<f32> {
    pollster::block_on(model.logits(ids, chunk)).expect("logits")
}

fn greedy(model: &mut Model, ids: &[u32], max_tokens: u32) -> (Vec<u32>, String) {
    let options = GenerateOptions {
        max_tokens: Some(max_tokens),
        temperature: Some(0.0),
        repetition_penalty: Some(1.0),
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    pollster::block_on(async {
        model.begin(ids, &options).await.expect("begin");
        let (mut out, mut text) = (Vec::new(), String::new());
        while let Some(piece) = model.next().await.expect("next") {
            out.extend(piece.ids);
            text += &piece.text;
        }
        (out, text)
    })
}

/// Equal while the margin is clearly above what the tolerance may move.
fn assert_greedy(what: &str, found: &[u32], g: &Golden, tolerance: f64) {
    let threshold = 10.0 * tolerance * std_of(&g.logits);
    let mut compared = 0;
    for (i, (a, b)) in found.iter().zip(&g.greedy).enumerate() {
        if !(f64::from(g.margin[i]) > threshold) {
            break;
        }
        assert_eq!(a, b, "{what}: greedy token {i} of {:?}, expected {:?}", found, g.greedy);
        compared += 1;
    }
    assert_eq!(found.len(), g.greedy.len(), "{what}: number of tokens");
    // Behind an f16 cache some models have no margin wide enough; the f32 cache must always give something to compare.
    assert!(compared > 0 || tolerance > TOLERANCE_F32_KV, "{what}: no greedy token was compared");
    println!("{what}: {compared} of {} greedy tokens compared", g.greedy.len());
}

fn check(case: &str, name: &str, executor: Box<dyn Executor>, kv_type: KvType) {
    let g = golden(case);
    let tolerance = if kv_type == KvType::F32 { TOLERANCE_F32_KV } else { TOLERANCE_F16_KV };
    let mut model = load(&goldens().join(case), executor, kv_type);
    for chunk in [None, Some(1), Some(7)] {
        let what = format!("{case} on {name}, {kv_type:?} cache, chunk {chunk:?}");
        let found = logits(&mut model, &g.ids, chunk);
        assert_close(&what, &found, &g.logits, tolerance);
    }
    let (tokens, _) = greedy(&mut model, &g.ids, g.greedy.len() as u32);
    assert_greedy(&format!("{case} on {name}, {kv_type:?} cache"), &tokens, &g, tolerance);
}

#[test]
fn goldens_on_the_cpu_references() {
    for case in GOLDENS {
        check(case, "cpu", Box::new(CpuExecutor::new(Caps::BASE)), KvType::F32);
    }
}

/// Names of the shaders that a model asks for on a tier, without a device.
fn shaders(case: &str, tier: Tier, kv_type: KvType) -> BTreeSet<String> {
    let mut model = load(&goldens().join(case), Box::new(CpuExecutor::new(common::caps_of(tier))), kv_type);
    let engine = model.engine();
    let plans = [1, 8, 32].map(|n| [(n, Output::Token), (n, Output::AllLogits)]);
    let steps = plans.into_iter().flatten().flat_map(|(n, output)| engine.steps(n, output));
    steps.map(|step| step.variant.name()).collect()
}

/// Whether a better tier runs exactly the same shaders: with an f32 cache little else can be f16.
fn is_repeated(case: &str, tier: Tier, kv_type: KvType) -> bool {
    let better = match tier {
        Tier::Base => Tier::F16,
        Tier::Subgroups => Tier::All,
        Tier::F16 | Tier::All => return false,
    };
    kv_type == KvType::F32 && shaders(case, tier, kv_type) == shaders(case, better, kv_type)
}

fn on_tier(tier: Tier) {
    for case in GOLDENS {
        for kv_type in [KvType::F32, KvType::F16] {
            if is_repeated(case, tier, kv_type) {
                println!("{case}, {kv_type:?} cache: the same shaders as on a better tier");
                continue;
            }
            check(case, tier.name(), gpu(tier), kv_type);
        }
    }
}

#[test]
fn goldens_on_the_base_tier() {
    on_tier(Tier::Base);
}

#[test]
fn goldens_on_the_f16_tier() {
    on_tier(Tier::F16);
}

#[test]
fn goldens_on_the_subgroups_tier() {
    on_tier(Tier::Subgroups);
}

#[test]
fn goldens_on_the_full_tier() {
    on_tier(Tier::All);
}

/// Trained models: prompt ids, first and last logits, 48 greedy tokens and their text, in float64 arithmetic.
#[test]
fn trained_models() {
    let Some(folder) = shared_models() else { return };
    for (file, json) in [
        ("stories260K-F16.gguf", folder.join("golden/stories260K.json")),
        // Ours: the golden beside the model was computed from another quantisation (see make_stories3m.py).
        ("stories3M-Q8_0.gguf", goldens().join("stories3M-Q8_0.json")),
        ("TinyStories-656K", folder.join("golden/TinyStories-656K.json")),
    ] {
        let text = std::fs::read_to_string(json).expect("golden JSON");
        let expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let mut model = load(&folder.join(file), gpu(Tier::All), KvType::F16);
        for case in expected["cases"].as_array().expect("cases") {
            trained_case(&mut model, file, case);
        }
    }
}

fn trained_case(model: &mut Model, file: &str, case: &serde_json::Value) {
    let numbers =
        |key: &str| -> Vec<f64> { case[key].as_array().expect(key).iter().map(|v| v.as_f64().expect(key)).collect() };
    let prompt = case["prompt"].as_str().expect("prompt");
    let ids: Vec<u32> = numbers("ids").into_iter().map(|v| v as u32).collect();
    let what = format!("{file}, {prompt:?}");
    assert_eq!(model.tokenize(prompt, true).expect("tokens"), ids, "{what}: token ids");
    for chunk in [None, Some(1), Some(7)] {
        let found = logits(model, &ids, chunk);
        let vocab_size = found.len() / ids.len();
        let tolerance = TOLERANCE_F16_KV * std_of(&found[found.len() - vocab_size..]);
        let compare = |position: usize, key: &str| {
            for (i, expected) in numbers(key).into_iter().enumerate() {
                let value = f64::from(found[position * vocab_size + i]);
                assert!(
                    (value - expected).abs() <= tolerance,
                    "{what}, chunk {chunk:?}: {key}[{i}] {value} {expected}"
                );
            }
        };
        compare(0, "first_pos_logits_first16");
        compare(ids.len() - 1, "last_logits_first16");
        for top in case["last_top10"].as_array().expect("last_top10") {
            let (id, expected) = (top[0].as_u64().expect("id") as usize, top[1].as_f64().expect("logit"));
            let value = f64::from(found[(ids.len() - 1) * vocab_size + id]);
            assert!(
                (value - expected).abs() <= tolerance,
                "{what}, chunk {chunk:?}: logit of {id}: {value} {expected}"
            );
        }
    }
    let expected: Vec<u32> = numbers("greedy_ids").into_iter().map(|v| v as u32).collect();
    let (tokens, text) = greedy(model, &ids, expected.len() as u32);
    assert_eq!(tokens, expected, "{what}: greedy tokens");
    // The golden text writes byte tokens out.
    let expected = case["greedy_text"].as_str().expect("greedy_text").replace("<0x0A>", "\n");
    assert_eq!(text, expected, "{what}: greedy text");
}

/// The second prompt of a conversation computes only what is new, and says the same as a fresh model.
#[test]
fn prefix_is_reused() {
    let g = golden("hf/llama");
    let path = goldens().join("hf/llama");
    let mut model = load(&path, gpu(Tier::All), KvType::F32);
    let (first, _) = greedy(&mut model, &g.ids[..10], 6);
    let longer: Vec<u32> = g.ids[..10].iter().chain(&first).chain(&g.ids[10..15]).copied().collect();
    let (second, _) = greedy(&mut model, &longer, 6);
    let usage = model.usage().expect("usage");
    assert!(
        usage.cached_tokens >= 15,
        "10 prompt tokens and 5 generated ones are cached, found {}",
        usage.cached_tokens
    );
    let (fresh, _) = greedy(&mut load(&path, gpu(Tier::All), KvType::F32), &longer, 6);
    assert_eq!(second, fresh);
}

/// Bad requests are typed and leave the model usable; so does an abort in decode.
#[test]
fn errors_leave_the_model_usable() {
    let g = golden("hf/llama");
    let mut model = load(&goldens().join("hf/llama"), gpu(Tier::All), KvType::F32);
    let reference = greedy(&mut model, &g.ids, 8).0;
    let options = GenerateOptions::default();
    let mut fails = |ids: &[u32], options: &GenerateOptions, code: &str| {
        let error = pollster::block_on(model.begin(ids, options)).expect_err(code);
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(greedy(&mut model, &g.ids, 8).0, reference, "after {code}");
    };
    fails(&[], &options, "bad-request");
    fails(&[4096], &options, "bad-request");
    fails(&[1; 256], &options, "context-overflow");
    fails(&[1; 300], &options, "context-overflow");
    fails(&[1], &GenerateOptions { temperature: Some(f32::NAN), ..options.clone() }, "bad-request");
    fails(&[1], &GenerateOptions { top_p: Some(0.0), ..options.clone() }, "bad-request");
    // Abort while decoding: three pieces, then the flag.
    pollster::block_on(async {
        model
            .begin(&g.ids, &GenerateOptions { temperature: Some(0.0), ignore_eos: true, ..options.clone() })
            .await
            .expect("begin");
        for _ in 0..3 {
            model.next().await.expect("next");
        }
        model.cancel_flag().set(true);
        assert_eq!(model.next().await.expect_err("aborted").code(), "aborted");
    });
    assert_eq!(greedy(&mut model, &g.ids, 8).0, reference, "after an abort");
}

/// A reply ends when the context is full, and the cache grows on the way there.
#[test]
fn context_fills_up() {
    let mut model = load(&goldens().join("gguf-models/llama-Q4_0.gguf"), gpu(Tier::All), KvType::F16);
    let context = model.stats().context_length;
    let (tokens, _) = greedy(&mut model, &vec![5; context as usize - 6], u32::MAX);
    assert_eq!(tokens.len(), 6);
    assert_eq!(serde_json::to_value(model.usage().expect("usage").finish_reason).expect("JSON"), "length");
}

/// A device whose bindings are smaller than the largest matrices: they are split by rows, and the logits stay.
#[test]
fn matrices_larger_than_a_binding_are_split() {
    // The tables of these have 256 KiB and more of codes, stacked gate and up 128 KiB, no activation more than 96 KiB.
    for case in ["gguf-models/llama-Q4_K_M.gguf", "gguf-models/llama-Q8_0.gguf"] {
        let g = golden(case);
        let options = GpuOptions { max_binding_bytes: Some(100 << 10), allow_software: true, ..GpuOptions::default() };
        let gpu = pollster::block_on(Gpu::new(options)).expect("a GPU");
        let options = LoadOptions { kv_type: KvType::F32, context_length: Some(24), ..LoadOptions::default() };
        let files = open_files(goldens().join(case).to_str().expect("UTF-8")).expect("the files open");
        let model = pollster::block_on(Model::load(files, Box::new(gpu), options, &mut |_| {}));
        let mut model = model.unwrap_or_else(|e| panic!("{case}: {e}"));
        assert!(model.engine().weights.embed.parts.len() > 1, "{case}: the table has one part");
        for chunk in [Some(1), Some(7), Some(24)] {
            let what = format!("{case} split, chunk {chunk:?}");
            assert_close(&what, &logits(&mut model, &g.ids, chunk), &g.logits, TOLERANCE_F32_KV);
        }
    }
}

/// `--bisect` on whole models: no step of prefill or decode leaves its reference.
#[test]
fn bisect_finds_nothing_wrong() {
    for (case, flags) in [("hf/llama-bias", &["--chunk", "7"][..]), ("gguf-models/llama-Q4_K_M.gguf", &["--decode"])] {
        let model = goldens().join(case);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_lacewing"))
            .args(["logits", model.to_str().expect("UTF-8"), "--ids", "1,5,9,22,7,3,8,11,60", "--bisect"])
            .args(flags)
            .output()
            .expect("the CLI runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("steps agree"), "{case}: {text}{:?}", output.stderr);
    }
}

/// A context whose cache would not fit a binding is refused before anything is read, with the largest that fits.
#[test]
fn a_context_beyond_the_limits_is_refused() {
    let options = GpuOptions { max_binding_bytes: Some(64 << 10), allow_software: true, ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::new(options)).expect("a GPU");
    let files = open_files(goldens().join("gguf-models/llama-Q4_0.gguf").to_str().expect("UTF-8")).expect("it opens");
    // 2 KV heads of 64 in f32: 512 bytes per position, so 128 positions fit.
    let options = LoadOptions { kv_type: KvType::F32, context_length: Some(300), ..LoadOptions::default() };
    let error = pollster::block_on(Model::load(files, Box::new(gpu), options, &mut |_| {})).err().expect("refused");
    assert_eq!(error.code(), "limit-exceeded", "{error}");
    assert!(error.to_string().contains("at most 128"), "{error}");
}
