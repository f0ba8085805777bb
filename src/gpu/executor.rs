//! [`Gpu`] as an [`Executor`].

use super::buffers::{Buffer, Staging};
use super::execute::{Dispatch, Gpu, MAX_PENDING_BYTES, Plan};
use crate::error::{Error, Result};
use crate::execute::{BufferUse, Counters, Executor, PlanId, check_step};
use crate::formats::source::LocalFuture;
use crate::kernels::{Access, Bind, BufferId, Caps, Step};

/// Bytes per binding that `warm_up` binds.
const DUMMY_BYTES: u64 = 256;
/// Every adapter allows it: arrays in uniform bindings have a fixed length, which must be bound.
const MAX_UNIFORM_BYTES: u64 = 64 << 10;

impl Gpu {
    fn check_grid(&self, step: &Step) -> Result<()> {
        let most = self.context.max_workgroups;
        match step.grid.iter().all(|n| *n <= most) {
            true => Ok(()),
            false => Err(Error::LimitExceeded(format!(
                "Step {} needs {:?} workgroups, this device allows {most} per dimension.",
                step.label, step.grid
            ))),
        }
    }

    fn dispatches(&mut self, steps: &[Step]) -> Result<Plan> {
        let params = self.params(steps)?;
        let mut dispatches = Vec::with_capacity(steps.len());
        for (i, step) in steps.iter().enumerate() {
            let pipeline = self.pipeline(step)?;
            self.check_grid(step)?;
            check_step(step, &pipeline.access, &self.caps(), &|id| self.buffers.len_of(id))?;
            let bindings = self.bind_group(&pipeline, step, &params, i)?;
            self.counters.objects_created += 1;
            dispatches.push(Dispatch { pipeline, bindings, grid: step.grid });
        }
        self.context.health.check()?;
        Ok(Plan { dispatches, params })
    }

    fn new_buffer(&mut self, label: &str, bytes: u64, usage: BufferUse) -> Result<Buffer> {
        self.context.health.check()?;
        let most = self.context.caps.max_buffer_bytes;
        if bytes > most {
            return Err(Error::LimitExceeded(format!(
                "The buffer `{label}` needs {bytes} bytes, this device allows {most} per buffer."
            ))
            .with("neededBytes", bytes)
            .with("allowedBytes", most));
        }
        let bytes = bytes.max(16).next_multiple_of(16);
        let buffer = self.context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::UNIFORM
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        // Natively an error is known by now; on the web it comes with the next flush.
        self.context.health.check()?;
        self.counters.objects_created += 1;
        self.counters.gpu_bytes += bytes;
        Ok(Buffer { buffer, bytes, usage })
    }

    /// The steps with small buffers of their own and one workgroup each.
    fn shrunk(&mut self, steps: &[Step]) -> Result<Vec<Step>> {
        let [read, write] = match self.dummies {
            Some(dummies) => dummies,
            None => {
                let read = self.new_buffer("warm-up, read", MAX_UNIFORM_BYTES, BufferUse::Scratch)?;
                let write = self.new_buffer("warm-up, written", 16 * DUMMY_BYTES, BufferUse::Scratch)?;
                *self.dummies.insert([self.buffers.insert_own(read), self.buffers.insert_own(write)])
            }
        };
        let shrink = |step: &Step| {
            let access = step.kernel.access(&step.variant);
            let bind = |(i, access): (usize, &Access)| match access {
                Access::Read => Bind { buffer: read, offset: 0, bytes: DUMMY_BYTES },
                Access::Uniform => Bind { buffer: read, offset: 0, bytes: MAX_UNIFORM_BYTES },
                Access::ReadWrite => Bind { buffer: write, offset: i as u64 * DUMMY_BYTES, bytes: DUMMY_BYTES },
            };
            let bindings = access.iter().enumerate().map(bind).collect();
            Step { bindings, grid: [1, 1, 1], ..step.clone() }
        };
        Ok(steps.iter().map(shrink).collect())
    }
}

impl Executor for Gpu {
    fn adapter(&self) -> String {
        self.context.name.clone()
    }

    fn caps(&self) -> Caps {
        self.context.caps
    }

    fn create_buffer(&mut self, label: &str, bytes: u64, usage: BufferUse) -> Result<BufferId> {
        let buffer = self.new_buffer(label, bytes, usage)?;
        Ok(self.buffers.insert(buffer))
    }

    fn destroy_buffer(&mut self, id: BufferId) {
        if let Some(buffer) = self.buffers.remove(id) {
            buffer.buffer.destroy();
            self.counters.gpu_bytes -= buffer.bytes;
        }
    }

    fn write(&mut self, id: BufferId, offset: u64, data: &[u8]) -> Result<()> {
        self.context.health.check()?;
        let buffer = self.buffers.range(id, offset, data.len() as u64)?;
        if buffer.usage != BufferUse::Weights {
            self.counters.uploaded_bytes += data.len() as u64;
        }
        self.context.queue.write_buffer(&buffer.buffer, offset, data);
        self.pending_bytes += data.len() as u64;
        if cfg!(not(target_arch = "wasm32")) && self.pending_bytes > MAX_PENDING_BYTES {
            self.context.queue.submit([]);
            self.pending_bytes = 0;
        }
        self.context.health.check()
    }

    fn copy(&mut self, from: BufferId, from_offset: u64, to: BufferId, to_offset: u64, bytes: u64) -> Result<()> {
        self.context.health.check()?;
        if from == to {
            return Err(Error::BadRequest("WebGPU cannot copy within one buffer: copy through another.".into()));
        }
        let source = &self.buffers.range(from, from_offset, bytes)?.buffer;
        let target = &self.buffers.range(to, to_offset, bytes)?.buffer;
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(source, from_offset, target, to_offset, bytes);
        self.context.queue.submit([encoder.finish()]);
        self.pending_bytes = 0;
        self.context.health.check()
    }

    fn flush(&mut self) -> LocalFuture<'static, Result<()>> {
        self.pending_bytes = 0;
        let late_errors = self.late_errors();
        if let Err(error) = self.context.health.check() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let context = self.context.clone();
        let submission = context.queue.submit([]);
        #[cfg(not(target_arch = "wasm32"))]
        return Box::pin(async move {
            context.wait(submission)?;
            late_errors.await
        });
        #[cfg(target_arch = "wasm32")]
        {
            let _ = submission;
            let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let (sender, receiver) = futures_channel::oneshot::channel();
            let flag = done.clone();
            context.queue.on_submitted_work_done(move || {
                flag.store(true, std::sync::atomic::Ordering::Release);
                let _ = sender.send(());
            });
            let nudge = self.nudge;
            Box::pin(async move {
                if nudge {
                    let settled = || done.load(std::sync::atomic::Ordering::Acquire);
                    super::web::nudge(&context.queue, settled).await;
                }
                let _ = receiver.await;
                late_errors.await
            })
        }
    }

    fn read(&mut self, id: BufferId, offset: u64, bytes: u64) -> LocalFuture<'static, Result<Vec<u8>>> {
        let start = |gpu: &mut Gpu| {
            gpu.context.health.check()?;
            let source = &gpu.buffers.range(id, offset, bytes)?.buffer;
            let staging = Staging::new(&gpu.context.device, bytes);
            staging.take();
            let mut encoder = gpu.encoder();
            encoder.copy_buffer_to_buffer(source, offset, staging.buffer(), 0, bytes);
            let submission = gpu.context.queue.submit([encoder.finish()]);
            gpu.pending_bytes = 0;
            gpu.counters.objects_created += 1;
            gpu.counters.readback_bytes += bytes;
            Ok((gpu.read_staging(staging, bytes, submission), gpu.late_errors()))
        };
        if bytes == 0 {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        match start(self) {
            Ok((read, late_errors)) => Box::pin(async move {
                let bytes = read.await?;
                late_errors.await?;
                Ok(bytes)
            }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn compile(&mut self, steps: &[Step]) -> Result<PlanId> {
        self.context.health.check()?;
        let plan = self.dispatches(steps)?;
        let id = self.next_plan;
        self.next_plan += 1;
        self.plans.insert(id, plan);
        Ok(PlanId(id))
    }

    fn warm_up(&mut self, steps: &[Step]) -> Result<()> {
        let mut seen = std::collections::HashSet::new();
        let fresh: Vec<Step> = steps.iter().filter(|s| seen.insert(&s.variant)).cloned().collect();
        let shrunk = self.shrunk(&fresh)?;
        // Drivers put the last part of compilation off until the first dispatch.
        let plan = self.compile(&shrunk)?;
        let before = self.counters;
        self.run(plan)?;
        self.drop_plan(plan);
        let Counters { dispatches, submits, record_ns, .. } = before;
        self.counters = Counters { dispatches, submits, record_ns, ..self.counters };
        Ok(())
    }

    fn drop_plan(&mut self, plan: PlanId) {
        if let Some(plan) = self.plans.remove(&plan.0) {
            self.counters.gpu_bytes -= plan.params.buffer.size();
            plan.params.buffer.destroy();
        }
    }

    fn run(&mut self, plan: PlanId) -> Result<()> {
        self.submit(plan, None, |_| {}).map(|_| ())
    }

    fn run_and_read_word(
        &mut self,
        plan: PlanId,
        id: BufferId,
        offset: u64,
    ) -> Result<LocalFuture<'static, Result<u32>>> {
        let source = self.buffers.range(id, offset, 4)?.buffer.clone();
        let staging = match self.ring.iter().find(|s| s.take()) {
            Some(staging) => staging.clone(),
            None => {
                let staging = Staging::new(&self.context.device, 4);
                staging.take();
                self.ring.push(staging.clone());
                self.counters.objects_created += 1;
                self.counters.gpu_bytes += 4;
                staging
            }
        };
        let copy = |encoder: &mut wgpu::CommandEncoder| {
            encoder.copy_buffer_to_buffer(&source, offset, staging.buffer(), 0, 4);
        };
        let submission = match self.submit(plan, None, copy) {
            Ok(submission) => submission,
            Err(error) => {
                staging.give_back();
                return Err(error);
            }
        };
        self.counters.readback_bytes += 4;
        let read = self.read_staging(staging, 4, submission);
        Ok(Box::pin(async move {
            let bytes = read.await?;
            Ok(bytemuck::pod_read_unaligned(&bytes))
        }))
    }

    fn run_step(&mut self, plan: PlanId, index: usize) -> Result<()> {
        self.submit(plan, Some(index), |_| {}).map(|_| ())
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn profile(&mut self, plan: PlanId) -> Result<LocalFuture<'static, Result<Vec<u64>>>> {
        self.time_steps(plan)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
