//! `lacewing bench MODEL --profile`: GPU time of one decode step by kernel and variant, from timestamps around each
//! dispatch. Passes of one dispatch do not overlap, so the sum is more than an unprofiled step takes.

use super::bench::median;
use super::output;
use lacewing::Result;
use lacewing::model::plan::Output;
use lacewing::session::{GenerateOptions, Model};
use std::collections::BTreeMap;

/// The dispatches of one variant of a kernel in a decode step.
pub struct Kernel {
    stem: &'static str,
    variant: String,
    dispatches: usize,
    us: f64,
    /// Of the time of all.
    share: f64,
}

impl Kernel {
    /// One entry of `profile` in the report.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "kernel": self.stem,
            "variant": self.variant,
            "dispatches": self.dispatches,
            "us": self.us,
            "share": self.share,
        })
    }
}

/// Medians over `repeats` of the decode step after `prompt`, the slowest kernel first. A reply to a prompt at least as
/// long must have been generated before, so that the cache has room for the step.
pub async fn decode_step(model: &mut Model, prompt: &[u32], repeats: u32) -> Result<Vec<Kernel>> {
    let options = GenerateOptions { temperature: Some(0.0), ignore_eos: true, ..GenerateOptions::default() };
    let steps = model.engine().steps(1, Output::Token);
    let mut times = vec![Vec::new(); steps.len()];
    for _ in 0..repeats {
        // Each profiled step moves the state on the device by one token; this moves it back.
        model.begin(prompt, &options).await?;
        let engine = model.engine();
        let plan = engine.plan(1, Output::Token)?;
        let ns = engine.executor.profile(plan)?.await?;
        times.iter_mut().zip(ns).for_each(|(times, ns)| times.push(ns as f64 / 1e3));
    }
    let mut kernels: BTreeMap<_, (usize, f64)> = BTreeMap::new();
    for (step, times) in steps.iter().zip(times) {
        let (dispatches, us) = kernels.entry((step.kernel.stem(), step.variant.name())).or_default();
        *dispatches += 1;
        *us += median(times);
    }
    let total: f64 = kernels.values().map(|(_, us)| us).sum();
    let row = |((stem, variant), (dispatches, us))| Kernel { stem, variant, dispatches, us, share: us / total };
    let mut rows: Vec<Kernel> = kernels.into_iter().map(row).collect();
    rows.sort_by(|a, b| b.us.total_cmp(&a.us));
    Ok(rows)
}

/// A table on stdout.
pub fn print(kernels: &[Kernel]) -> Result<()> {
    output::line(format_args!("\n{:>10} {:>6} {:>10}  kernel of a decode step", "us", "%", "dispatches"))?;
    for k in kernels {
        output::line(format_args!(
            "{:10.1} {:6.1} {:10}  {} [{}]",
            k.us,
            k.share * 100.0,
            k.dispatches,
            k.stem,
            k.variant
        ))?;
    }
    let (us, dispatches) = kernels.iter().fold((0.0, 0), |(us, n), k| (us + k.us, n + k.dispatches));
    output::line(format_args!("{us:10.1} {:6.1} {dispatches:10}  all", 100.0))
}
