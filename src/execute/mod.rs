//! Running a list of steps. Two executors, one contract: [`cpu`] with the references, `gpu::execute` with WebGPU.

pub mod bisect;
pub mod compare;
pub mod cpu;

use crate::error::{Error, Result};
use crate::formats::source::LocalFuture;
use crate::kernels::{Access, BufferId, Caps, Step};

/// What a buffer is for; the GPU executor picks usages from it and statistics are kept per use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BufferUse {
    /// Weights: written while loading.
    Weights,
    /// KV cache and rope tables: copied when they grow.
    Cache,
    /// Activations.
    Scratch,
    /// Step state, token ids, sampling options.
    State,
}

/// A compiled list of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanId(pub u32);

/// Counters that no noise touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Dispatches recorded.
    pub dispatches: u64,
    /// Command buffers submitted by `run`.
    pub submits: u64,
    /// Bytes written by `write` outside of loading.
    pub uploaded_bytes: u64,
    /// Bytes mapped for reading.
    pub readback_bytes: u64,
    /// GPU objects (buffers, bind groups, pipelines) created.
    pub objects_created: u64,
    /// Bytes of all live buffers.
    pub gpu_bytes: u64,
    /// Nanoseconds spent in `run` (recording and submitting).
    pub record_ns: u64,
}

/// A device that runs steps.
pub trait Executor {
    /// Name of the adapter.
    fn adapter(&self) -> String;
    /// What `select` may use (already restricted to a forced tier).
    fn caps(&self) -> Caps;
    /// A zero-filled buffer. `bytes` is rounded up to 16. Fails with `out-of-memory` or `limit-exceeded`.
    fn create_buffer(&mut self, label: &str, bytes: u64, usage: BufferUse) -> Result<BufferId>;
    /// Frees a buffer; plans that use it must be dropped first.
    fn destroy_buffer(&mut self, id: BufferId);
    /// Copies `data` (whole words) to `offset` (a multiple of 4).
    fn write(&mut self, id: BufferId, offset: u64, data: &[u8]) -> Result<()>;
    /// Copies between buffers, in queue order.
    fn copy(&mut self, from: BufferId, from_offset: u64, to: BufferId, to_offset: u64, bytes: u64) -> Result<()>;
    /// Waits until earlier writes have left the heap and checks for errors of earlier calls (device lost, out of memory).
    fn flush(&mut self) -> LocalFuture<'static, Result<()>>;
    /// Reads back a range, after everything submitted before.
    fn read(&mut self, id: BufferId, offset: u64, bytes: u64) -> LocalFuture<'static, Result<Vec<u8>>>;
    /// Compiles pipelines and bind groups for a list of steps.
    fn compile(&mut self, steps: &[Step]) -> Result<PlanId>;
    /// Compiles the pipelines of these steps without buffers, so that it can happen while weights download.
    fn warm_up(&mut self, steps: &[Step]) -> Result<()>;
    /// Forgets a compiled plan.
    fn drop_plan(&mut self, plan: PlanId);
    /// Records and submits the whole plan: one encoder, one pass, one submit.
    fn run(&mut self, plan: PlanId) -> Result<()>;
    /// As `run`, then reads back one word from `id` at `offset` through a ring of staging buffers, without waiting:
    /// several calls may be in flight, their futures resolve in order.
    fn run_and_read_word(
        &mut self,
        plan: PlanId,
        id: BufferId,
        offset: u64,
    ) -> Result<LocalFuture<'static, Result<u32>>>;
    /// Runs only step `index` of a plan (bisect).
    fn run_step(&mut self, plan: PlanId, index: usize) -> Result<()>;
    /// Runs a plan once with a pass per step: nanoseconds that each took on the device. Fails with
    /// `unsupported-webgpu` where steps cannot be timed.
    #[cfg(not(target_arch = "wasm32"))]
    fn profile(&mut self, _plan: PlanId) -> Result<LocalFuture<'static, Result<Vec<u64>>>> {
        Err(Error::UnsupportedWebGpu(format!("{} cannot time its steps: profile on a GPU.", self.adapter())))
    }
    /// Counters since creation.
    fn counters(&self) -> Counters;
}

/// Checks that `offset..offset + bytes` is whole words and lies within a buffer of `len` bytes.
pub fn check_range(offset: u64, bytes: u64, len: u64) -> Result<()> {
    if !offset.is_multiple_of(4) || !bytes.is_multiple_of(4) {
        return Err(Error::BadRequest(format!("Expected whole words, found {bytes} bytes at offset {offset}.")));
    }
    if offset.checked_add(bytes).is_none_or(|end| end > len) {
        return Err(Error::BadRequest(format!("{bytes} bytes at offset {offset} do not fit a buffer of {len} bytes.")));
    }
    Ok(())
}

/// Checks what both executors rely on: sizes, alignment and limits of the bindings, and that nothing is bound both for
/// reading and for writing. `len_of` gives the bytes of a live buffer.
pub fn check_step(step: &Step, access: &[Access], caps: &Caps, len_of: &dyn Fn(BufferId) -> Option<u64>) -> Result<()> {
    let wrong = |what: String| Error::BadRequest(format!("Step {}: {what}.", step.label));
    if step.bindings.len() != access.len() {
        return Err(wrong(format!("{} bindings, expected {}", step.bindings.len(), access.len())));
    }
    if step.params.len() != step.kernel.params_bytes() || !step.params.len().is_multiple_of(16) {
        let expected = step.kernel.params_bytes();
        return Err(wrong(format!("{} bytes of params, expected {expected}, a multiple of 16", step.params.len())));
    }
    for (i, (bind, usage)) in step.bindings.iter().zip(access).enumerate() {
        let Some(len) = len_of(bind.buffer) else {
            return Err(wrong(format!("binding {} is a buffer that was freed", i + 1)));
        };
        if bind.bytes == 0 || !bind.offset.is_multiple_of(256) {
            return Err(wrong(format!(
                "binding {} has {} bytes at offset {}, expected some at a multiple of 256",
                i + 1,
                bind.bytes,
                bind.offset
            )));
        }
        check_range(bind.offset, bind.bytes, len).map_err(|e| wrong(format!("binding {}: {e}", i + 1)))?;
        // Uniform bindings have a limit of their own, which kernels stay below.
        if *usage != Access::Uniform && bind.bytes > caps.max_binding_bytes {
            return Err(Error::LimitExceeded(format!(
                "Step {}: binding {} has {} bytes, this device allows {} per binding.",
                step.label,
                i + 1,
                bind.bytes,
                caps.max_binding_bytes
            )));
        }
        for (j, (other, other_usage)) in step.bindings.iter().zip(access).enumerate().take(i) {
            let overlap = bind.offset < other.offset + other.bytes && other.offset < bind.offset + bind.bytes;
            let (writes, other_writes) = (*usage == Access::ReadWrite, *other_usage == Access::ReadWrite);
            if bind.buffer == other.buffer && (writes != other_writes || (writes && overlap)) {
                return Err(wrong(format!("bindings {} and {} share a buffer that is written", j + 1, i + 1)));
            }
        }
    }
    Ok(())
}
