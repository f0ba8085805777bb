//! What every command that runs a model needs: a device, options, progress.

use super::output;
use lacewing::execute::Executor;
use lacewing::execute::cpu::CpuExecutor;
use lacewing::formats::source::{Files, open_files_with};
use lacewing::gpu::{Gpu, GpuOptions};
use lacewing::kernels::{Caps, KvType, Tier};
use lacewing::session::{LoadOptions, Model, Progress};
use lacewing::{Error, Result};
use std::io::{IsTerminal, Write};
use std::rc::Rc;

#[derive(clap::Args)]
pub struct ModelArgs {
    /// Where to run: `gpu` (WebGPU) or `cpu` (the naive references, for checks).
    #[arg(long, default_value = "gpu")]
    device: String,
    /// Force a lower tier of kernels: base, f16, subgroups or all.
    #[arg(long)]
    tier: Option<String>,
    /// KV cache as JSON: {"storage": "f16" | "f32"}.
    #[arg(long)]
    kv: Option<String>,
    /// Longest context in tokens; by default the model's own, at most 4096.
    #[arg(long)]
    context_length: Option<u32>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Kv {
    storage: Option<String>,
}

impl ModelArgs {
    /// The device the arguments ask for.
    pub async fn executor(&self) -> Result<Box<dyn Executor>> {
        match self.device.as_str() {
            "cpu" if self.tier.is_some() => {
                Err(Error::BadRequest("--tier chooses among GPU kernels: leave it out with --device cpu".into()))
            }
            "cpu" => Ok(Box::new(CpuExecutor::new(Caps::BASE))),
            "gpu" => {
                let options = GpuOptions { tier: self.tier()?, allow_software: true, ..GpuOptions::default() };
                let gpu = Gpu::new(options).await?;
                if gpu.caps().software {
                    output::note(format_args!(
                        "warning: {} is a software adapter, about 100 times slower than a GPU",
                        Executor::adapter(&gpu)
                    ));
                }
                Ok(Box::new(gpu))
            }
            other => Err(Error::BadRequest(format!("--device is {other:?}; it must be gpu or cpu"))),
        }
    }

    fn tier(&self) -> Result<Option<Tier>> {
        let Some(name) = &self.tier else { return Ok(None) };
        let tier = Tier::EACH.into_iter().find(|t| t.name() == name);
        let unknown = || Error::BadRequest(format!("--tier is {name:?}; it must be base, f16, subgroups or all"));
        tier.ok_or_else(unknown).map(Some)
    }

    /// Whether the references run instead of a GPU.
    pub fn on_cpu(&self) -> bool {
        self.device == "cpu"
    }

    /// The load options the arguments ask for.
    pub fn load_options(&self) -> Result<LoadOptions> {
        let mut options = LoadOptions { context_length: self.context_length, ..LoadOptions::default() };
        if let Some(json) = &self.kv {
            let kv: Kv = serde_json::from_str(json).map_err(|e| {
                Error::BadRequest(format!("--kv is {json:?}: {e}; write for example {{\"storage\": \"f32\"}}"))
            })?;
            if let Some(name) = kv.storage {
                options.kv_type = KvType::parse(&name)?;
            }
        }
        Ok(options)
    }

    /// Loads a model, with progress on stderr when that is a terminal.
    pub async fn load(&self, model: &str) -> Result<Model> {
        self.load_on(model, self.executor().await?).await
    }

    /// As `load`, on a given device.
    pub async fn load_on(&self, model: &str, executor: Box<dyn Executor>) -> Result<Model> {
        let files = open_files(model)?;
        let mut progress = progress_line();
        Model::load(files, executor, self.load_options()?, &mut progress).await
    }
}

/// Opens a model for any command; why a download waits goes to stderr, in place of the progress until that goes on.
pub fn open_files(model: &str) -> Result<Rc<dyn Files>> {
    let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    open_files_with(model, move |why| output::note(format_args!("{clear}waiting: {why}")))
}

/// Prints progress on one line of a terminal, and nothing elsewhere.
pub fn progress_line() -> impl FnMut(Progress) {
    let terminal = std::io::stderr().is_terminal();
    move |p: Progress| {
        if terminal {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let end = if p.downloaded_bytes >= p.total_bytes { "\n" } else { "" };
            let (done, total) = (mib(p.downloaded_bytes), mib(p.total_bytes));
            let _ = write!(std::io::stderr(), "\rloading {done:.1} of {total:.1} MiB{end}");
        }
    }
}
