//! Running a list of steps. Two executors, one contract: [`cpu`] with the references, `gpu::execute` with WebGPU.

pub mod cpu;

use crate::error::Result;
use crate::formats::source::LocalFuture;
use crate::kernels::{BufferId, Caps, Step};

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
    /// Runs only step `index` of a plan (bisect, profiling).
    fn run_step(&mut self, plan: PlanId, index: usize) -> Result<()>;
    /// Counters since creation.
    fn counters(&self) -> Counters;
}
