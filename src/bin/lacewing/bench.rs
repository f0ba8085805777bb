//! `lacewing bench`: medians of a few repeats, and the counts that no noise touches.

use super::open::{ModelArgs, progress_line};
use super::{heap, kernel_bench, output, profile, synthetic};
use lacewing::clock;
use lacewing::execute::{BufferUse, Executor};
use lacewing::kernels::{Bind, bandwidth};
use lacewing::session::{GenerateOptions, Model, text::Text};
use lacewing::{Error, Result};
use std::io::Write;

#[derive(clap::Args)]
pub struct Args {
    /// Model path or URL.
    #[arg(required_unless_present_any = ["synthetic", "kernel"])]
    model: Option<String>,
    /// Random weights of a real shape: SHAPE:LAYOUT, e.g. smollm2-135m:q4 or llama-1b:q8.
    #[arg(long, conflicts_with = "model")]
    synthetic: Option<String>,
    /// Time one kernel over its shape table.
    #[arg(long, conflicts_with_all = ["model", "synthetic"])]
    kernel: Option<String>,
    /// Prompt tokens; by default 128, on a software adapter 16.
    #[arg(long)]
    prompt: Option<u32>,
    /// Generated tokens; by default 128, on a software adapter 8.
    #[arg(long)]
    tokens: Option<u32>,
    /// Repeats of which the median is taken; by default 5, on a software adapter 1.
    #[arg(long)]
    repeats: Option<u32>,
    /// Also time each kernel of a decode step by timestamps of the GPU.
    #[arg(long, conflicts_with = "kernel")]
    profile: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Append a row to bench/<adapter>.csv.
    #[arg(long)]
    record: bool,
    #[command(flatten)]
    model_args: ModelArgs,
}

pub async fn run(args: Args) -> Result<()> {
    let mut executor = args.model_args.executor().await?;
    if let Some(stem) = &args.kernel {
        if args.repeats == Some(0) {
            return Err(Error::BadRequest("--repeats must be at least 1".into()));
        }
        return kernel_bench::run(stem, args.json, args.repeats, &mut *executor).await;
    }
    let software = executor.caps().software;
    let read_gb_per_s = read_bandwidth(&mut *executor).await?;
    let started = clock::seconds();
    let mut model = load(&args, executor).await?;
    let load_s = clock::seconds() - started;

    let prompt = args.prompt.unwrap_or(if software { 16 } else { 128 });
    let tokens = args.tokens.unwrap_or(if software { 8 } else { 128 });
    let repeats = args.repeats.unwrap_or(if software { 1 } else { 5 });
    if prompt == 0 || tokens < MIN_TOKENS || repeats == 0 {
        return Err(Error::BadRequest(format!(
            "--prompt and --repeats must be at least 1, --tokens at least {MIN_TOKENS}"
        )));
    }
    let context = model.stats().context_length;
    if u64::from(prompt) + u64::from(tokens) > u64::from(context) {
        return Err(Error::ContextOverflow(format!(
            "--prompt {prompt} and --tokens {tokens} do not fit the context of {context}: give fewer, or a larger \
             --context-length"
        )));
    }
    let m = measure(&mut model, prompt, tokens, repeats).await?;

    let stats = model.stats();
    let (weight_bytes, kv_bytes) = (stats.weight_bytes_per_token, stats.kv_bytes_per_token);
    // A decoded token reads every weight and the cache of half the reply on average.
    let live = u64::from(prompt) + u64::from(tokens) / 2;
    let achieved = (weight_bytes + kv_bytes * live) as f64 * m.decode / 1e9;
    let mut report = serde_json::json!({
        "model": args.model.as_ref().or(args.synthetic.as_ref()),
        "adapter": stats.adapter,
        "tier": stats.tier,
        "prompt_tokens": prompt,
        "generated_tokens": tokens,
        "repeats": repeats,
        "load_s": load_s,
        "prefill_tokens_per_s": m.prefill,
        "decode_tokens_per_s": m.decode,
        "time_to_first_token_ms": m.first_token_ms,
        "weight_bytes_per_token": weight_bytes,
        "kv_bytes_per_token": kv_bytes,
        "achieved_gb_per_s": achieved,
        "copy_gb_per_s": read_gb_per_s,
        "roofline_fraction": achieved / read_gb_per_s,
        "dispatches_per_token": m.dispatches,
        "dispatches_per_layer": layer_dispatches(&mut model),
        "submits_per_token": m.submits,
        "readback_bytes_per_token": m.readback,
        "uploads_bytes_per_token": m.uploads,
        "objects_created_per_token": m.objects,
        "record_us_per_token": m.record_us,
        "gpu_bytes": stats.gpu_bytes,
        "heap_peak_bytes": heap::peak_bytes(),
    });
    // Into the CSV goes what every run has.
    if args.record {
        record(&report)?;
    }
    let mut kernels = None;
    if args.profile {
        let ids = prompt_ids(prompt, 0, vocab_size(&model));
        kernels = Some(profile::decode_step(&mut model, &ids, repeats).await?);
    }
    if args.json {
        if let Some(kernels) = kernels {
            report["profile"] = kernels.iter().map(profile::Kernel::json).collect();
        }
        output::json(&report)?;
    } else {
        for (key, value) in report.as_object().expect("an object") {
            output::line(format_args!("{key:28} {value}"))?;
        }
        if let Some(kernels) = kernels {
            profile::print(&kernels)?;
        }
    }
    Ok(())
}

async fn load(args: &Args, executor: Box<dyn Executor>) -> Result<Model> {
    let (options, mut progress) = (args.model_args.load_options()?, progress_line());
    match (&args.synthetic, &args.model) {
        (Some(name), _) => {
            let (spec, tensors) = synthetic::model(name)?;
            Model::from_parts(spec, &tensors, Text::none(), executor, options, &mut progress).await
        }
        (None, Some(model)) => {
            let files = super::open::open_files(model)?;
            Model::load(files, executor, options, &mut progress).await
        }
        (None, None) => Err(Error::BadRequest("give a model or --synthetic SHAPE:LAYOUT".into())),
    }
}

/// Enough that steps are still to be submitted when the first token has come, with the default depth.
const MIN_TOKENS: u32 = 6;

struct Measured {
    prefill: f64,
    decode: f64,
    first_token_ms: f64,
    dispatches: f64,
    submits: f64,
    readback: f64,
    uploads: f64,
    objects: f64,
    record_us: f64,
}

fn vocab_size(model: &Model) -> u64 {
    u64::from(model.stats().vocab_size)
}

/// Ids that differ from the first on between repeats, so that nothing is cached.
fn prompt_ids(prompt: u32, repeat: u32, vocab_size: u64) -> Vec<u32> {
    (0..prompt).map(|i| ((u64::from(i) * 7919 + u64::from(repeat) * 104_729 + 1) % vocab_size) as u32).collect()
}

async fn measure(model: &mut Model, prompt: u32, tokens: u32, repeats: u32) -> Result<Measured> {
    let vocab_size = vocab_size(model);
    let options = GenerateOptions {
        max_tokens: Some(tokens),
        temperature: Some(0.0),
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    let (mut prefill, mut decode, mut first) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts = None;
    for repeat in 0..=repeats {
        // The first warms up and is not counted.
        let ids = prompt_ids(prompt, repeat, vocab_size);
        let warm = GenerateOptions { max_tokens: Some(2), ..options.clone() };
        model.begin(&ids, if repeat == 0 { &warm } else { &options }).await?;
        // In steady decode: after the first piece, before the last submit.
        model.next().await?;
        let before = (model.engine().executor.counters(), model.engine().decode_steps());
        while model.next().await?.is_some() {}
        let after = (model.engine().executor.counters(), model.engine().decode_steps());
        if repeat == 0 {
            continue;
        }
        let usage = model.usage().expect("the reply has ended");
        prefill.push(usage.prefill_tokens_per_s);
        decode.push(usage.decode_tokens_per_s);
        first.push(usage.time_to_first_token_s * 1e3);
        counts = Some((before, after));
    }
    let (before, after) = counts.expect("at least one repeat");
    let ((before, first_step), (after, last_step)) = (before, after);
    let steps = (last_step - first_step) as f64;
    let per_step = |after: u64, before: u64| (after - before) as f64 / steps;
    Ok(Measured {
        prefill: median(prefill),
        decode: median(decode),
        first_token_ms: median(first),
        dispatches: per_step(after.dispatches, before.dispatches),
        submits: per_step(after.submits, before.submits),
        readback: per_step(after.readback_bytes, before.readback_bytes),
        uploads: per_step(after.uploaded_bytes, before.uploaded_bytes),
        objects: per_step(after.objects_created, before.objects_created),
        record_us: per_step(after.record_ns, before.record_ns) / 1e3,
    })
}

/// The largest number of dispatches that one layer takes in decode.
fn layer_dispatches(model: &mut Model) -> usize {
    let steps = model.engine().steps(1, lacewing::model::plan::Output::Token);
    let layer = |label: &str| label.strip_prefix("layer").and_then(|l| l.split('.').next()?.parse::<usize>().ok());
    let mut counts = std::collections::HashMap::new();
    for index in steps.iter().filter_map(|s| layer(&s.label)) {
        *counts.entry(index).or_insert(0) += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

/// The middle value. Panics when empty.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// GB/s of a plain read of a buffer, larger than any cache on a GPU.
async fn read_bandwidth(executor: &mut dyn Executor) -> Result<f64> {
    let caps = executor.caps();
    let bytes = if caps.software { 32 << 20 } else { (512u64 << 20).min(caps.max_binding_bytes / 16 * 16) };
    let mut bind = |label, bytes| {
        executor.create_buffer(label, bytes, BufferUse::Scratch).map(|buffer| Bind { buffer, offset: 0, bytes })
    };
    let (data, out) = (bind("bandwidth.data", bytes)?, bind("bandwidth.out", 4096)?);
    let plan = executor.compile(&[bandwidth::step(&caps, "bandwidth", &bandwidth::Args { data, out })])?;
    let runs = if caps.software { 2 } else { 20 };
    let mut times = Vec::new();
    for repeat in 0..4 {
        let started = clock::seconds();
        for _ in 0..runs {
            executor.run(plan)?;
        }
        executor.read(out.buffer, 0, 4).await?;
        // The first run clears the buffer and compiles.
        if repeat > 0 {
            times.push((clock::seconds() - started) / f64::from(runs));
        }
    }
    executor.drop_plan(plan);
    executor.destroy_buffer(data.buffer);
    executor.destroy_buffer(out.buffer);
    Ok(bytes as f64 / median(times) / 1e9)
}

/// Appends to `bench/<adapter>.csv`, one file per machine.
fn record(report: &serde_json::Value) -> Result<()> {
    let adapter = report["adapter"].as_str().unwrap_or("unknown");
    let slug: String =
        adapter.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let slug = slug.split('-').filter(|s| !s.is_empty()).collect::<Vec<_>>().join("-");
    let path = std::path::Path::new("bench").join(format!("{slug}.csv"));
    let failed = |e: std::io::Error| Error::BadRequest(format!("cannot write {}: {e}", path.display()));
    std::fs::create_dir_all("bench").map_err(failed)?;
    let fields = report.as_object().expect("an object");
    let new = !path.exists();
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
    let row = |cells: Vec<String>| cells.join(",") + "\n";
    if new {
        file.write_all(row(fields.keys().cloned().collect()).as_bytes()).map_err(failed)?;
    }
    let cell = |v: &serde_json::Value| match v {
        serde_json::Value::Number(n) if n.is_f64() => format!("{:.4}", n.as_f64().unwrap_or(f64::NAN)),
        other => other.to_string(),
    };
    file.write_all(row(fields.values().map(cell).collect()).as_bytes()).map_err(failed)?;
    output::note(format_args!("recorded in {}", path.display()));
    Ok(())
}
