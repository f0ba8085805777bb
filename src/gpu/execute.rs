//! The executor: plans are compiled once into pipelines and bind groups, then re-encoded from these (WebGPU has no
//! reusable compute command buffers). In steady state only encoders and command buffers are made.

use super::buffers::{Buffers, RING, Read, Staging};
use super::context::{Context, GpuOptions};
use super::pipelines::{Pipeline, Pipelines};
use crate::error::{Error, Result};
use crate::execute::{Counters, PlanId};
use crate::formats::source::LocalFuture;
use crate::kernels::{BufferId, Step};
use std::collections::HashMap;
use std::rc::Rc;

/// Params of consecutive steps lie this far apart: every adapter allows it as an offset of a binding.
const PARAMS_STRIDE: usize = 256;
/// More dispatches go into the next command buffer, so that the GPU starts on the first ones.
const MAX_DISPATCHES: usize = 300;
/// Natively writes wait in staging memory until something is submitted; do so after this many bytes.
pub(super) const MAX_PENDING_BYTES: u64 = 64 << 20;

/// A dispatch with everything it needs.
pub(super) struct Dispatch {
    pub pipeline: Rc<Pipeline>,
    pub bindings: wgpu::BindGroup,
    pub grid: [u32; 3],
}

/// The params of all steps of a plan.
pub(super) struct Params {
    pub buffer: wgpu::Buffer,
    pub stride: u64,
}

pub(super) struct Plan {
    pub dispatches: Vec<Dispatch>,
    pub params: Params,
}

/// The device, through wgpu natively and on the web.
pub struct Gpu {
    pub(super) context: Rc<Context>,
    pub(super) pipelines: Pipelines,
    pub(super) buffers: Buffers,
    pub(super) plans: HashMap<u32, Plan>,
    pub(super) next_plan: u32,
    pub(super) ring: Vec<Rc<Staging>>,
    pub(super) counters: Counters,
    /// Bytes written since the last submit.
    pub(super) pending_bytes: u64,
    /// What `warm_up` binds in place of the real buffers: one to read, one to write.
    pub(super) dummies: Option<[BufferId; 2]>,
    #[cfg(target_arch = "wasm32")]
    scopes: Option<Scopes>,
    #[cfg(target_arch = "wasm32")]
    pub(super) nudge: bool,
}

/// On the web errors of a call are known later: these scopes are open all the time, and swapped by `flush` and `read`.
#[cfg(target_arch = "wasm32")]
struct Scopes {
    validation: wgpu::ErrorScopeGuard,
    memory: wgpu::ErrorScopeGuard,
}

#[cfg(target_arch = "wasm32")]
impl Scopes {
    fn open(device: &wgpu::Device) -> Scopes {
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        Scopes { memory, validation: device.push_error_scope(wgpu::ErrorFilter::Validation) }
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn now_ns() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
}

#[cfg(target_arch = "wasm32")]
use super::web::now_ns;

/// JavaScript would free the device's memory whenever its garbage collector comes by; a model that is disposed of gives
/// gigabytes back at once.
impl Drop for Gpu {
    fn drop(&mut self) {
        self.context.device.destroy();
    }
}

impl Gpu {
    /// Opens the best adapter. Fails with `unsupported-webgpu` when there is none, only a software one that
    /// `options` does not allow, or one that lacks the forced tier.
    pub async fn new(options: GpuOptions) -> Result<Gpu> {
        let context = Rc::new(Context::new(&options).await?);
        let ring = (0..RING).map(|_| Staging::new(&context.device, 4)).collect();
        let counters = Counters { objects_created: RING as u64, gpu_bytes: 4 * RING as u64, ..Counters::default() };
        Ok(Gpu {
            pipelines: Pipelines::default(),
            buffers: Buffers::default(),
            plans: HashMap::new(),
            next_plan: 0,
            ring,
            counters,
            pending_bytes: 0,
            dummies: None,
            #[cfg(target_arch = "wasm32")]
            scopes: Some(Scopes::open(&context.device)),
            #[cfg(target_arch = "wasm32")]
            nudge: super::web::needs_nudges(),
            context,
        })
    }

    /// Gives the device back; everything afterwards fails with `device-lost`.
    pub fn destroy(&self) {
        self.context.device.destroy();
        self.context.health.lose("it was destroyed by the program");
    }

    /// Errors of earlier calls that are only known later (on the web; natively they are known at once).
    #[cfg(target_arch = "wasm32")]
    pub(super) fn late_errors(&mut self) -> LocalFuture<'static, Result<()>> {
        let Some(scopes) = self.scopes.take() else { return Box::pin(std::future::ready(Ok(()))) };
        let validation = scopes.validation.pop();
        let memory = scopes.memory.pop();
        self.scopes = Some(Scopes::open(&self.context.device));
        let health = self.context.health.clone();
        Box::pin(async move {
            // Out of memory first: the validation errors follow from it.
            let (validation, memory) = (validation.await, memory.await);
            if let Some(error) = memory.or(validation) {
                health.record(error);
            }
            health.check()
        })
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn late_errors(&mut self) -> LocalFuture<'static, Result<()>> {
        let health = self.context.health.clone();
        Box::pin(async move { health.check() })
    }

    pub(super) fn encoder(&self) -> wgpu::CommandEncoder {
        self.context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None })
    }

    pub(super) fn bind_group(
        &self,
        pipeline: &Pipeline,
        step: &Step,
        params: &Params,
        index: usize,
    ) -> Result<wgpu::BindGroup> {
        let binding = |buffer, offset, bytes| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(bytes) })
        };
        let uniform = binding(&params.buffer, index as u64 * params.stride, step.params.len() as u64);
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: uniform }];
        for (i, bind) in (1..).zip(&step.bindings) {
            let buffer = &self.buffers.range(bind.buffer, bind.offset, bind.bytes)?.buffer;
            entries.push(wgpu::BindGroupEntry { binding: i, resource: binding(buffer, bind.offset, bind.bytes) });
        }
        Ok(self.context.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.bindings,
            entries: &entries,
        }))
    }

    pub(super) fn pipeline(&mut self, step: &Step) -> Result<Rc<Pipeline>> {
        let (pipeline, created) = self.pipelines.get(&self.context, step)?;
        self.counters.objects_created += u64::from(created);
        Ok(pipeline)
    }

    /// A uniform buffer with the params of all steps.
    pub(super) fn params(&mut self, steps: &[Step]) -> Result<Params> {
        let longest = steps.iter().map(|s| s.params.len()).max().unwrap_or(0).max(1);
        let stride = longest.next_multiple_of(PARAMS_STRIDE);
        let mut bytes = vec![0u8; stride * steps.len().max(1)];
        for (chunk, step) in bytes.chunks_exact_mut(stride).zip(steps) {
            chunk[..step.params.len()].copy_from_slice(&step.params);
        }
        let buffer = self.context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.context.queue.write_buffer(&buffer, 0, &bytes);
        self.counters.objects_created += 1;
        self.counters.gpu_bytes += bytes.len() as u64;
        self.context.health.check()?;
        Ok(Params { buffer, stride: stride as u64 })
    }

    pub(super) fn plan(&self, plan: PlanId) -> Result<&Plan> {
        self.plans.get(&plan.0).ok_or_else(|| Error::Disposed(format!("Plan {} was dropped.", plan.0)))
    }

    /// Records dispatches; `last` adds to the last command buffer. One submit.
    pub(super) fn submit(
        &mut self,
        plan: PlanId,
        range: Option<usize>,
        last: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<wgpu::SubmissionIndex> {
        let start = now_ns();
        self.context.health.check()?;
        let dispatches = match range {
            Some(index) => self
                .plan(plan)?
                .dispatches
                .get(index..index + 1)
                .ok_or_else(|| Error::BadRequest(format!("Plan {} has no step {index}.", plan.0)))?,
            None => &self.plan(plan)?.dispatches,
        };
        let mut commands = Vec::with_capacity(dispatches.len() / MAX_DISPATCHES + 1);
        let mut encoder = self.encoder();
        for (i, chunk) in dispatches.chunks(MAX_DISPATCHES).enumerate() {
            if i > 0 {
                commands.push(std::mem::replace(&mut encoder, self.encoder()).finish());
            }
            record(&mut encoder, chunk);
        }
        last(&mut encoder);
        commands.push(encoder.finish());
        let (n_dispatches, n_commands) = (dispatches.len() as u64, commands.len() as u64);
        let submission = self.context.queue.submit(commands);
        self.pending_bytes = 0;
        self.counters.dispatches += n_dispatches;
        self.counters.submits += n_commands;
        self.counters.record_ns += now_ns() - start;
        Ok(submission)
    }

    pub(super) fn read_staging(
        &self,
        staging: Rc<Staging>,
        bytes: u64,
        submission: wgpu::SubmissionIndex,
    ) -> LocalFuture<'static, Result<Vec<u8>>> {
        staging.map(bytes);
        #[cfg(not(target_arch = "wasm32"))]
        return Box::pin(Read { staging, bytes, context: self.context.clone(), submission });
        #[cfg(target_arch = "wasm32")]
        {
            let _ = submission;
            let nudge = self.nudge;
            let read = Read { staging, bytes, context: self.context.clone() };
            Box::pin(async move {
                if nudge {
                    super::web::nudge(&read.context.queue, || !read.staging.pending()).await;
                }
                read.await
            })
        }
    }
}

fn record(encoder: &mut wgpu::CommandEncoder, dispatches: &[Dispatch]) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    let mut current: Option<&Rc<Pipeline>> = None;
    for dispatch in dispatches {
        if current.is_none_or(|p| !Rc::ptr_eq(p, &dispatch.pipeline)) {
            pass.set_pipeline(&dispatch.pipeline.pipeline);
            current = Some(&dispatch.pipeline);
        }
        pass.set_bind_group(0, &dispatch.bindings, &[]);
        pass.dispatch_workgroups(dispatch.grid[0], dispatch.grid[1], dispatch.grid[2]);
    }
}
