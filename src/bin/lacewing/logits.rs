//! `lacewing logits`: the logits of every position, for comparison with other engines; `--bisect` finds the first step
//! whose GPU output leaves the reference.

use super::open::ModelArgs;
use super::output;
use lacewing::execute::bisect::{self, Tolerance};
use lacewing::execute::cpu::CpuExecutor;
use lacewing::execute::{Executor, PlanId};
use lacewing::model::plan::MAX_CHUNK;
use lacewing::{Error, Result};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Model path or URL.
    model: String,
    /// Token ids: 1,5,9
    #[arg(long, value_delimiter = ',', conflicts_with = "ids_file")]
    ids: Vec<u32>,
    /// safetensors file with an I32 or I64 tensor `input_ids`.
    #[arg(long)]
    ids_file: Option<PathBuf>,
    /// safetensors file to write: `logits` F32 [T, vocab_size].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Feed the ids one by one through the decode plan.
    #[arg(long, conflicts_with = "chunk")]
    decode: bool,
    /// Feed at most this many ids per pass.
    #[arg(long)]
    chunk: Option<u32>,
    /// Run GPU and CPU side by side and name the first step whose GPU output leaves its tolerance.
    #[arg(long)]
    bisect: bool,
    #[command(flatten)]
    model_args: ModelArgs,
}

pub async fn run(args: Args) -> Result<()> {
    let ids = match &args.ids_file {
        Some(path) => read_ids(path)?,
        None => args.ids.clone(),
    };
    if args.bisect {
        return bisect(&args, &ids).await;
    }
    let out = args.out.as_ref().ok_or_else(|| Error::BadRequest("give --out FILE.safetensors (or --bisect)".into()))?;
    let mut model = args.model_args.load(&args.model).await?;
    let chunk = if args.decode { Some(1) } else { args.chunk };
    let logits = model.logits(&ids, chunk).await?;
    let shape = vec![ids.len(), logits.len() / ids.len()];
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytemuck::cast_slice(&logits));
    let view = view.map_err(|e| Error::BadRequest(format!("cannot describe the logits: {e}")))?;
    safetensors::serialize_to_file([("logits", view)], None, out)
        .map_err(|e| Error::BadRequest(format!("cannot write {}: {e}", out.display())))?;
    output::line(format_args!("wrote logits {shape:?} to {}", out.display()))
}

/// How far a step's output may be from the reference, relative to the value and absolutely: several times what f32
/// accumulation in another order gives, far below what a wrong kernel gives.
const STEP_TOLERANCE: Tolerance = Tolerance { atol: 1e-4, rtol: 1e-3 };

async fn bisect(args: &Args, ids: &[u32]) -> Result<()> {
    let device = args.model_args.executor().await?;
    // The oracle allocates the same buffers in the same order, so both know them by the same ids.
    let cpu = Box::new(CpuExecutor::new(device.caps()));
    let mut gpu_model = args.model_args.load_on(&args.model, device).await?;
    gpu_model.check_ids(ids)?;
    let mut cpu_model = args.model_args.load_on(&args.model, cpu).await?;
    if args.model_args.on_cpu() {
        return Err(Error::BadRequest("--bisect compares a GPU with the CPU: leave --device cpu out".into()));
    }
    let chunk = if args.decode { 1 } else { args.chunk.unwrap_or(MAX_CHUNK) };
    if chunk == 0 {
        return Err(Error::BadRequest("a chunk has at least 1 token".into()));
    }
    let mut steps_compared = 0;
    for part in ids.chunks(chunk as usize) {
        let (gpu, cpu) = (gpu_model.engine(), cpu_model.engine());
        let (steps, gpu_plan) = gpu.stage(part).await?;
        let (_, cpu_plan) = cpu.stage(part).await?;
        let on: (&mut dyn Executor, PlanId) = (&mut *gpu.executor, gpu_plan);
        if let Some(difference) = bisect::bisect(&steps, on, (&mut *cpu.executor, cpu_plan), STEP_TOLERANCE).await? {
            output::line(&difference)?;
            return Err(Error::NumericSelfTest(format!("{} leaves its tolerance", difference.label)));
        }
        steps_compared += steps.len();
    }
    output::line(format_args!("all {steps_compared} steps agree with the references"))
}

fn read_ids(path: &std::path::Path) -> Result<Vec<u32>> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|e| Error::BadRequest(format!("cannot read {name}: {e}")))?;
    let file = safetensors::SafeTensors::deserialize(&bytes)
        .map_err(|e| Error::BadFile(format!("{name} is not a safetensors file: {e}")))?;
    let tensor =
        file.tensor("input_ids").map_err(|_| Error::MissingTensor(format!("{name} has no tensor `input_ids`")))?;
    let ids: Vec<i64> = match tensor.dtype() {
        safetensors::Dtype::I32 => {
            bytemuck::pod_collect_to_vec::<u8, i32>(tensor.data()).into_iter().map(i64::from).collect()
        }
        safetensors::Dtype::I64 => bytemuck::pod_collect_to_vec(tensor.data()),
        other => return Err(Error::BadFile(format!("`input_ids` in {name} is {other:?}; it must be I32 or I64"))),
    };
    ids.into_iter()
        .map(|id| u32::try_from(id).map_err(|_| Error::BadFile(format!("{name}: {id} is not a token id"))))
        .collect()
}
