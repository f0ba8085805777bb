//! `lacewing bench --kernel STEM`: median time of each of a kernel's cases, and the bytes it binds per second.

use super::bench::median;
use super::output;
use lacewing::clock;
use lacewing::execute::{BufferUse, Executor};
use lacewing::kernels::{self, cases, cases::Case};
use lacewing::{Error, Result};

/// Dispatches timed together: one submit costs more than a small kernel.
const RUNS: u32 = 16;

pub async fn run(stem: &str, json: bool, repeats: Option<u32>, executor: &mut dyn Executor) -> Result<()> {
    let kernel = kernels::ALL.iter().find(|k| k.stem() == stem).ok_or_else(|| {
        let known: Vec<_> = kernels::ALL.iter().map(|k| k.stem()).collect();
        Error::BadRequest(format!("no kernel {stem:?}; known: {}", known.join(", ")))
    })?;
    let caps = executor.caps();
    let repeats = repeats.unwrap_or(if caps.software { 1 } else { 5 });
    let mut rows = Vec::new();
    for case in cases::table(kernel.stem(), &caps) {
        let label = case.step.label.clone();
        let variant = case.step.variant.name();
        let (us, bytes) = time(case, repeats, executor).await?;
        let gb_per_s = bytes as f64 / us / 1e3;
        if !json {
            output::line(format_args!("{us:10.1} us {gb_per_s:8.2} GB/s  {label}  [{variant}]"))?;
        }
        rows.push(
            serde_json::json!({"case": label, "variant": variant, "us": us, "bytes": bytes, "gb_per_s": gb_per_s}),
        );
    }
    if json {
        let report = serde_json::json!({"kernel": stem, "adapter": executor.adapter(), "tier": caps.tier().name(), "cases": rows});
        output::json(&report)?;
    }
    Ok(())
}

/// Median microseconds of one dispatch, and the bytes it binds.
async fn time(case: Case, repeats: u32, executor: &mut dyn Executor) -> Result<(f64, u64)> {
    let mut step = case.step;
    let mut buffers = Vec::new();
    for words in &case.buffers {
        let id = executor.create_buffer("bench", words.len() as u64 * 4, BufferUse::Scratch)?;
        executor.write(id, 0, bytemuck::cast_slice(words))?;
        buffers.push(id);
    }
    for bind in &mut step.bindings {
        bind.buffer = buffers[bind.buffer.0 as usize];
    }
    let bytes = step.bindings.iter().map(|b| b.bytes).sum();
    let steps: Vec<_> = (0..RUNS).map(|_| step.clone()).collect();
    let plan = executor.compile(&steps)?;
    let mut times = Vec::new();
    for repeat in 0..=repeats {
        let started = clock::seconds();
        executor.run(plan)?;
        executor.read(buffers[0], 0, 4).await?;
        if repeat > 0 {
            times.push((clock::seconds() - started) * 1e6 / f64::from(RUNS));
        }
    }
    executor.drop_plan(plan);
    buffers.into_iter().for_each(|b| executor.destroy_buffer(b));
    Ok((median(times), bytes))
}
