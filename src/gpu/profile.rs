//! GPU time per step, by timestamp queries. Native only: browsers round them to 100 us.

use super::buffers::Staging;
use super::execute::Gpu;
use crate::error::{Error, Result};
use crate::execute::PlanId;
use crate::formats::source::LocalFuture;

impl Gpu {
    /// See [`crate::execute::Executor::profile`].
    pub(super) fn time_steps(&mut self, plan: PlanId) -> Result<LocalFuture<'static, Result<Vec<u64>>>> {
        const PASSES: usize = 2048; // a query set holds 4096 timestamps
        if !self.context.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::UnsupportedWebGpu(format!(
                "{} has no timestamp-query, so steps cannot be timed: use `bench --kernel` there.",
                self.context.name
            )));
        }
        self.context.health.check()?;
        let device = &self.context.device;
        let dispatches = &self.plan(plan)?.dispatches;
        let bytes = (dispatches.len() as u64 * 16).max(16);
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: bytes,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let staging = Staging::new(device, bytes);
        staging.take();
        let mut encoder = self.encoder();
        for (i, chunk) in dispatches.chunks(PASSES).enumerate() {
            let count = chunk.len() as u32 * 2;
            let query_set = device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            for (j, dispatch) in (0u32..).zip(chunk) {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &query_set,
                        beginning_of_pass_write_index: Some(2 * j),
                        end_of_pass_write_index: Some(2 * j + 1),
                    }),
                });
                pass.set_pipeline(&dispatch.pipeline.pipeline);
                pass.set_bind_group(0, &dispatch.bindings, &[]);
                pass.dispatch_workgroups(dispatch.grid[0], dispatch.grid[1], dispatch.grid[2]);
            }
            encoder.resolve_query_set(&query_set, 0..count, &resolved, (i * PASSES * 16) as u64);
        }
        encoder.copy_buffer_to_buffer(&resolved, 0, staging.buffer(), 0, bytes);
        let query_sets = dispatches.len().div_ceil(PASSES) as u64;
        let submission = self.context.queue.submit([encoder.finish()]);
        self.counters.objects_created += 2 + query_sets;
        let period = f64::from(self.context.queue.get_timestamp_period());
        let read = self.read_staging(staging, bytes, submission);
        Ok(Box::pin(async move {
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&read.await?);
            Ok(ticks.chunks_exact(2).map(|t| (t[1].saturating_sub(t[0]) as f64 * period) as u64).collect())
        }))
    }
}
