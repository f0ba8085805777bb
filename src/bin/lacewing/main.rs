//! The `lacewing` command: `generate`, `logits`, `inspect`, `bench`. `MODEL` is a .gguf path or URL, or a directory or
//! base URL with config.json.

mod bench;
mod generate;
mod heap;
mod kernel_bench;
mod logits;
mod open;
mod output;
mod profile;
mod synthetic;

use clap::{Parser, Subcommand};
use lacewing::execute::Executor;
use lacewing::gpu::{Gpu, GpuOptions};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

#[derive(Parser)]
#[command(name = "lacewing", version, about = "Runs language models privately through WebGPU")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate text from a prompt or one chat turn.
    Generate(generate::Args),
    /// Write the logits of every position of a list of token ids.
    Logits(logits::Args),
    /// Print what a model is, how it lies on the device and what a token costs, without loading weights.
    Inspect(InspectArgs),
    /// Measure loading, prefill and decode, or one kernel.
    Bench(bench::Args),
}

#[derive(clap::Args)]
struct InspectArgs {
    /// Model path or URL.
    model: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> std::process::ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,wgpu_core=error,wgpu_hal=off,naga=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .without_time()
        .init();
    let result = pollster::block_on(async {
        let cli = match Cli::try_parse() {
            Ok(cli) => cli,
            // Help and version are output as any other.
            Err(help) if !help.use_stderr() => return help.print().map_err(output::failed),
            Err(usage) => usage.exit(),
        };
        match cli.command {
            Command::Generate(args) => generate::run(args).await,
            Command::Logits(args) => logits::run(args).await,
            Command::Inspect(args) => inspect(args).await,
            Command::Bench(args) => bench::run(args).await,
        }
    });
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) if output::is_closed(&e) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            output::note(format_args!("error[{}]: {e}", e.code()));
            std::process::ExitCode::FAILURE
        }
    }
}

async fn inspect(args: InspectArgs) -> lacewing::Result<()> {
    let files = open::open_files(&args.model)?;
    let mut report = lacewing::inspect::inspect(&*files).await?;
    let runs = report["supported"] == true && report["weight_bytes"].is_u64();
    // Without a device the rest still holds.
    if let (true, Ok(gpu)) = (runs, Gpu::new(GpuOptions { allow_software: true, ..GpuOptions::default() }).await) {
        report["device"] = lacewing::inspect::fits(&*files, &gpu.adapter(), gpu.caps()).await?;
    }
    if args.json { output::json(&report) } else { output::print(lacewing::inspect::text(&report)) }
}
