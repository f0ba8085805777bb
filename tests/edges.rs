//! Sizes and requests at the edge of what the kernels take: they work, or end in a typed error; nothing panics.

mod model_support;

use lacewing::execute::cpu::CpuExecutor;
use lacewing::execute::{BufferUse, Counters, Executor, PlanId};
use lacewing::formats::DType;
use lacewing::formats::source::LocalFuture;
use lacewing::kernels::{BufferId, Caps, KvType, Step};
use lacewing::model::build::build;
use lacewing::model::config::ArchInfo;
use lacewing::session::text::Text;
use lacewing::session::{GenerateOptions, LoadOptions, Model};
use lacewing::{Error, Result};
use model_support::{Builder, llama};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const VOCAB: u64 = 40;

struct Size {
    d_model: u64,
    head_dim: u64,
    heads: u64,
    kv: u64,
    d_ff: u64,
    context: u64,
}

const SIZE: Size = Size { d_model: 64, head_dim: 16, heads: 4, kv: 2, d_ff: 96, context: 128 };

/// One layer of random weights on an executor.
fn model(s: &Size, extra: serde_json::Value, executor: Box<dyn Executor>) -> Result<Model> {
    let mut config = json!({"model_type": "llama", "hidden_size": s.d_model, "head_dim": s.head_dim,
        "vocab_size": VOCAB, "num_hidden_layers": 1, "num_attention_heads": s.heads, "max_position_embeddings": s.context});
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let info = ArchInfo::from_config(&config)?;
    let mut b = Builder::new(7);
    let (d, q, kv) = (s.d_model, s.heads * s.head_dim, s.kv * s.head_dim);
    b.add("model.embed_tokens.weight", DType::F32, &[VOCAB, d]);
    for (name, shape) in [
        ("input_layernorm", vec![d]),
        ("post_attention_layernorm", vec![d]),
        ("self_attn.q_proj", vec![q, d]),
        ("self_attn.k_proj", vec![kv, d]),
        ("self_attn.v_proj", vec![kv, d]),
        ("self_attn.o_proj", vec![d, q]),
        ("mlp.gate_proj", vec![s.d_ff, d]),
        ("mlp.up_proj", vec![s.d_ff, d]),
        ("mlp.down_proj", vec![d, s.d_ff]),
    ] {
        b.add(&format!("model.layers.0.{name}.weight"), DType::F32, &shape);
    }
    b.add("model.norm.weight", DType::F32, &[d]);
    let (tensors, _) = b.file();
    let spec = build(&info, &tensors, None)?;
    let options = LoadOptions::default();
    pollster::block_on(Model::from_parts(spec, &tensors, Text::none(), executor, options, &mut |_| {}))
}

fn cpu() -> Box<dyn Executor> {
    Box::new(CpuExecutor::default())
}

fn gpu() -> Box<dyn Executor> {
    use lacewing::gpu::{Gpu, GpuOptions};
    let options = GpuOptions { allow_software: true, ..GpuOptions::default() };
    Box::new(pollster::block_on(Gpu::new(options)).expect("a GPU, or lavapipe"))
}

fn generate(model: &mut Model, ids: &[u32], n: u32) -> Result<Vec<u32>> {
    let options = GenerateOptions { max_tokens: Some(n), ignore_eos: true, ..GenerateOptions::default() };
    pollster::block_on(async {
        model.begin(ids, &options).await?;
        let mut out = Vec::new();
        while let Some(piece) = model.next().await? {
            out.extend(piece.ids);
        }
        Ok(out)
    })
}

fn refused(s: &Size, extra: serde_json::Value) -> Error {
    match model(s, extra, cpu()) {
        Ok(_) => panic!("it loaded"),
        Err(e) => e,
    }
}

#[test]
fn widths_that_are_not_whole_fours_are_refused() {
    for s in [Size { d_model: 66, ..SIZE }, Size { d_ff: 98, ..SIZE }] {
        let e = refused(&s, json!({}));
        assert_eq!(e.code(), "unsupported-model", "{e}");
    }
}

#[test]
fn rotations_beyond_f32_are_refused() {
    for rope in [json!({"rope_theta": 1e-300}), json!({"rope_scaling": {"type": "linear", "factor": 1e-40}})] {
        let e = refused(&SIZE, rope);
        assert_eq!(e.code(), "bad-file", "{e}");
    }
}

#[test]
fn more_heads_than_the_merge_has_room_for_take_fewer_splits() {
    let s = Size { heads: 256, kv: 2, head_dim: 4, context: 4096, ..SIZE };
    let ids: Vec<u32> = (0..20).collect();
    let expected = generate(&mut model(&s, json!({}), cpu()).unwrap(), &ids, 6).unwrap();
    assert_eq!(generate(&mut model(&s, json!({}), gpu()).unwrap(), &ids, 6).unwrap(), expected);
}

#[test]
fn heads_without_rotation_run() {
    let (ids, none): (Vec<u32>, _) = ((0..20).collect(), json!({"partial_rotary_factor": 0.01}));
    let expected = generate(&mut model(&SIZE, none.clone(), cpu()).unwrap(), &ids, 6).unwrap();
    assert_eq!(generate(&mut model(&SIZE, none, gpu()).unwrap(), &ids, 6).unwrap(), expected);
}

#[test]
fn the_shortest_contexts_hold_what_they_say() {
    for context in [1, 2, 3, 5] {
        let mut model = model(&Size { context, ..SIZE }, json!({}), gpu()).unwrap();
        let logits = pollster::block_on(model.logits(&vec![1; context as usize], None)).unwrap();
        assert_eq!(logits.len() as u64, context * VOCAB);
        match generate(&mut model, &[1], 6) {
            Ok(ids) => assert_eq!(ids.len() as u64, context - 1),
            Err(e) => assert_eq!((context, e.code()), (1, "context-overflow")),
        }
    }
}

#[test]
fn a_prompt_after_logits_reuses_their_cache() {
    let mut model = model(&SIZE, json!({}), gpu()).unwrap();
    let ids: Vec<u32> = (0..30).collect();
    let fresh = generate(&mut model, &ids, 8).unwrap();
    pollster::block_on(model.logits(&ids, Some(7))).unwrap();
    assert_eq!(generate(&mut model, &ids, 8).unwrap(), fresh);
    assert_eq!(model.usage().unwrap().cached_tokens, 29);
}

/// Largest difference in units of the standard deviation of `expected`; NaN when anything is.
fn difference(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let std = (expected.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / expected.len() as f64).sqrt();
    let worst = |worst: f64, d: f64| if worst.is_nan() || d <= worst { worst } else { d };
    found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()) / std).fold(0.0, worst)
}

#[test]
fn layers_of_different_sizes_run() {
    let sizes = [(4, 2, 96), (2, 1, 64), (8, 8, 160), (3, 3, 4)];
    let (tensors, _) = llama::hf(&sizes, true, |n| llama::norms_f32(n, DType::F16)).file();
    let spec = build(&llama::info(&sizes, json!({})), &tensors, None).unwrap();
    let logits = |executor, chunk| {
        let options = LoadOptions { kv_type: KvType::F32, ..LoadOptions::default() };
        pollster::block_on(async {
            let text = Text::none();
            let mut model =
                Model::from_parts(spec.clone(), &tensors, text, executor, options, &mut |_| {}).await.unwrap();
            model.logits(&(0..24).collect::<Vec<_>>(), chunk).await.unwrap()
        })
    };
    let expected = logits(cpu(), None);
    for chunk in [None, Some(1), Some(7)] {
        let d = difference(&logits(gpu(), chunk), &expected);
        assert!(d <= 2e-3, "chunk {chunk:?}: off by {d}");
    }
    assert!(difference(&logits(cpu(), Some(1)), &expected) <= 2e-3);
}

#[test]
fn a_cache_that_grows_in_the_middle_of_a_reply_keeps_its_rows() {
    let mut model = model(&Size { context: 2048, ..SIZE }, json!({}), gpu()).unwrap();
    let prompt: Vec<u32> = (0..508).map(|i| i * 7 % 40).collect();
    let grown = generate(&mut model, &prompt, 24).unwrap();
    assert_eq!(model.stats().kv_capacity, 1024);
    // Another prompt in between, so that nothing is reused of the rows that decoding wrote.
    generate(&mut model, &[39, 38], 1).unwrap();
    let again: Vec<u32> = prompt.iter().chain(&grown[..12]).copied().collect();
    assert_eq!(generate(&mut model, &again, 12).unwrap(), grown[12..]);
}

/// Tells of failed allocations only when it is flushed, as WebGPU in a browser does.
struct Late {
    inner: Box<dyn Executor>,
    /// Buffers and plans whose creation fails: those with this in their label.
    fails: Rc<RefCell<&'static str>>,
    error: Option<Error>,
    /// Set by the first run, when there is one.
    cancel: Rc<RefCell<Option<Rc<Cell<bool>>>>>,
}

impl Late {
    fn note(&mut self, label: &str) {
        let fails = *self.fails.borrow();
        if !fails.is_empty() && label.contains(fails) {
            self.error.get_or_insert_with(|| Error::OutOfMemory(format!("no memory for {label}")));
        }
    }
}

impl Executor for Late {
    fn adapter(&self) -> String {
        self.inner.adapter()
    }
    fn caps(&self) -> Caps {
        self.inner.caps()
    }
    fn create_buffer(&mut self, label: &str, bytes: u64, usage: BufferUse) -> Result<BufferId> {
        self.note(label);
        self.inner.create_buffer(label, bytes, usage)
    }
    fn destroy_buffer(&mut self, id: BufferId) {
        self.inner.destroy_buffer(id);
    }
    fn write(&mut self, id: BufferId, offset: u64, data: &[u8]) -> Result<()> {
        self.inner.write(id, offset, data)
    }
    fn copy(&mut self, from: BufferId, at: u64, to: BufferId, to_at: u64, bytes: u64) -> Result<()> {
        self.inner.copy(from, at, to, to_at, bytes)
    }
    fn flush(&mut self) -> LocalFuture<'static, Result<()>> {
        match self.error.take() {
            Some(e) => Box::pin(std::future::ready(Err(e))),
            None => self.inner.flush(),
        }
    }
    fn read(&mut self, id: BufferId, offset: u64, bytes: u64) -> LocalFuture<'static, Result<Vec<u8>>> {
        self.inner.read(id, offset, bytes)
    }
    fn compile(&mut self, steps: &[Step]) -> Result<PlanId> {
        steps.iter().for_each(|s| self.note(&s.label));
        self.inner.compile(steps)
    }
    fn warm_up(&mut self, steps: &[Step]) -> Result<()> {
        self.inner.warm_up(steps)
    }
    fn drop_plan(&mut self, plan: PlanId) {
        self.inner.drop_plan(plan);
    }
    fn run(&mut self, plan: PlanId) -> Result<()> {
        self.inner.run(plan)
    }
    fn run_and_read_word(&mut self, plan: PlanId, id: BufferId, at: u64) -> Result<LocalFuture<'static, Result<u32>>> {
        if let Some(flag) = self.cancel.take() {
            flag.set(true);
        }
        self.inner.run_and_read_word(plan, id, at)
    }
    fn run_step(&mut self, plan: PlanId, index: usize) -> Result<()> {
        self.inner.run_step(plan, index)
    }
    fn counters(&self) -> Counters {
        self.inner.counters()
    }
}

#[test]
fn what_fails_late_ends_the_call_and_costs_nothing_else() {
    let fails = Rc::new(RefCell::new(""));
    let late = Late { inner: gpu(), fails: fails.clone(), error: None, cancel: Rc::default() };
    let mut model = model(&Size { context: 2048, ..SIZE }, json!({}), Box::new(late)).unwrap();
    let (short, long): (Vec<u32>, Vec<u32>) = ((0..30).collect(), (0..508).map(|i| i % 40).collect());
    let fresh = generate(&mut model, &short, 8).unwrap();
    let is_oom = |r: Result<Vec<u32>>| assert_eq!(r.expect_err("it fails").code(), "out-of-memory");

    // In the middle of a reply, when the cache outgrows its first 512 rows.
    *fails.borrow_mut() = "k_cache";
    is_oom(generate(&mut model, &long, 20));
    // The logits of many positions.
    *fails.borrow_mut() = "logits";
    let logits = pollster::block_on(model.logits(&short, None));
    assert_eq!(logits.expect_err("it fails").code(), "out-of-memory");
    // A plan for few tokens that no call has needed so far.
    *fails.borrow_mut() = "layer0.ffn.down";
    is_oom(generate(&mut model, &[1, 2, 3], 8));

    *fails.borrow_mut() = "";
    assert_eq!(generate(&mut model, &short, 8).unwrap(), fresh);
    assert_eq!(generate(&mut model, &long, 20).unwrap().len(), 20);
    assert_eq!(model.stats().kv_capacity, 1024);
}

#[test]
fn an_abort_in_prefill_keeps_what_was_done() {
    let cancel = Rc::new(RefCell::new(None));
    let late = Late { inner: gpu(), fails: Rc::default(), error: None, cancel: cancel.clone() };
    let mut model = model(&Size { context: 2048, ..SIZE }, json!({}), Box::new(late)).unwrap();
    let ids: Vec<u32> = (0..600).map(|i| i % 40).collect();
    let fresh = generate(&mut model, &ids, 8).unwrap();
    generate(&mut model, &[39], 1).unwrap();
    *cancel.borrow_mut() = Some(model.cancel_flag());
    assert_eq!(generate(&mut model, &ids, 8).unwrap_err().code(), "aborted");
    assert_eq!(model.stats().kv_tokens, 256);
    assert_eq!(generate(&mut model, &ids, 8).unwrap(), fresh);
    assert_eq!(model.usage().unwrap().cached_tokens, 256);
}
