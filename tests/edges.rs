//! Sizes and requests at the edge of what the kernels take: they work, or end in a typed error; nothing panics.

mod model_support;

use lacewing::execute::cpu::CpuExecutor;
use lacewing::execute::{BufferUse, Counters, Executor, PlanId};
use lacewing::formats::DType;
use lacewing::formats::source::LocalFuture;
use lacewing::kernels::{BufferId, Caps, Step};
use lacewing::model::build::build;
use lacewing::model::config::ArchInfo;
use lacewing::session::text::Text;
use lacewing::session::{GenerateOptions, LoadOptions, Model};
use lacewing::{Error, Result};
use model_support::Builder;
use serde_json::json;
use std::cell::RefCell;
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

/// Tells of failed allocations only when it is flushed, as WebGPU in a browser does.
struct Late {
    inner: Box<dyn Executor>,
    /// Buffers and plans whose creation fails: those with this in their label.
    fails: Rc<RefCell<&'static str>>,
    error: Option<Error>,
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
    let late = Late { inner: gpu(), fails: fails.clone(), error: None };
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
    assert_eq!(model.stats()["kv_capacity"], 1024);
}
