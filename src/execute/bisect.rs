//! Finds the first step whose result differs between two executors.

use super::compare::{Mismatch, compare, kind_of};
use super::{Executor, PlanId};
use crate::error::Result;
use crate::kernels::{Access, Step};

/// How far apart results may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// |found - expected| <= atol + rtol * |expected|
    pub atol: f32,
    /// See `atol`.
    pub rtol: f32,
}

/// The first step outside of the tolerance.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Index in the list of steps.
    pub index: usize,
    /// `Step::label`
    pub label: String,
    /// `Variant::name()`
    pub variant: String,
    /// Binding in the shader, from 1.
    pub binding: usize,
    /// Elements outside of the tolerance.
    pub wrong: usize,
    /// The first of them.
    pub first: Mismatch,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "step {} ({}, {}): binding {} differs in {} elements; element {} is {}, expected {}",
            self.index,
            self.label,
            self.variant,
            self.binding,
            self.wrong,
            self.first.element,
            self.first.found,
            self.first.expected
        )
    }
}

/// Runs a plan step by step on `cpu` (the oracle) and on `gpu`, and compares every read-write binding after each step.
///
/// `steps` is compiled as `gpu_plan` and `cpu_plan`, and both executors hold the same contents under the same buffer
/// ids (a model loaded the same way on both). After each step the bindings that it wrote are copied from the oracle to
/// the GPU, so that differences do not add up: the step that is reported is the one at fault.
/// None = all steps agree.
pub async fn bisect(
    steps: &[Step],
    (gpu, gpu_plan): (&mut dyn Executor, PlanId),
    (cpu, cpu_plan): (&mut dyn Executor, PlanId),
    tolerance: Tolerance,
) -> Result<Option<Difference>> {
    for (index, step) in steps.iter().enumerate() {
        let kind = step.kernel.outputs(&step.variant);
        let access = step.kernel.access(&step.variant);
        cpu.run_step(cpu_plan, index)?;
        gpu.run_step(gpu_plan, index)?;
        let mut written = 0;
        for (binding, (bind, access)) in step.bindings.iter().zip(&access).enumerate() {
            if *access != Access::ReadWrite {
                continue;
            }
            let expected = cpu.read(bind.buffer, bind.offset, bind.bytes).await?;
            let found = gpu.read(bind.buffer, bind.offset, bind.bytes).await?;
            let words = |bytes: &[u8]| -> Vec<u32> { bytemuck::pod_collect_to_vec(bytes) };
            let result = compare(
                kind_of(kind, written),
                None,
                &words(&expected),
                &words(&found),
                (tolerance.atol, tolerance.rtol),
            );
            written += 1;
            if let Some(first) = result.first.first() {
                return Ok(Some(Difference {
                    index,
                    label: step.label.clone(),
                    variant: step.variant.name(),
                    binding: binding + 1,
                    wrong: result.wrong,
                    first: *first,
                }));
            }
            // Later steps start from the oracle's numbers.
            gpu.write(bind.buffer, bind.offset, &expected)?;
        }
        gpu.flush().await?;
    }
    Ok(None)
}
