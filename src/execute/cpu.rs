//! Runs steps with the references of their kernels: slow, exact, needs no GPU. `--device cpu`, and the oracle of
//! [`super::bisect`].

use super::{BufferUse, Counters, Executor, PlanId, check_range, check_step};
use crate::error::{Error, Result};
use crate::formats::source::LocalFuture;
use crate::kernels::{Access, BufferId, Caps, Slot, Step};
use std::collections::HashMap;

/// An executor on the heap.
pub struct CpuExecutor {
    caps: Caps,
    buffers: HashMap<BufferId, (Vec<u32>, BufferUse)>,
    next_buffer: u32,
    plans: HashMap<u32, Vec<Step>>,
    next_plan: u32,
    counters: Counters,
}

impl Default for CpuExecutor {
    /// The base tier, with bindings of up to 2 GiB.
    fn default() -> CpuExecutor {
        let caps = Caps { max_binding_bytes: 2 << 30, max_buffer_bytes: 4 << 30, software: true, ..Caps::BASE };
        CpuExecutor::new(caps)
    }
}

impl CpuExecutor {
    /// An executor for steps that were selected for `caps` (those of a GPU, to compare with it).
    pub fn new(caps: Caps) -> CpuExecutor {
        CpuExecutor {
            caps,
            buffers: HashMap::new(),
            next_buffer: 0,
            plans: HashMap::new(),
            next_plan: 0,
            counters: Counters::default(),
        }
    }

    fn words(&self, id: BufferId, offset: u64, bytes: u64) -> Result<&[u32]> {
        let (words, _) = self.buffers.get(&id).ok_or_else(|| freed(id))?;
        check_range(offset, bytes, words.len() as u64 * 4)?;
        Ok(&words[offset as usize / 4..(offset + bytes) as usize / 4])
    }

    fn words_mut(&mut self, id: BufferId, offset: u64, bytes: u64) -> Result<&mut [u32]> {
        let (words, _) = self.buffers.get_mut(&id).ok_or_else(|| freed(id))?;
        check_range(offset, bytes, words.len() as u64 * 4)?;
        Ok(&mut words[offset as usize / 4..(offset + bytes) as usize / 4])
    }

    /// Buffers that are written leave the table while the others are borrowed from it.
    fn step(&mut self, step: &Step) -> Result<()> {
        let access = step.kernel.access(&step.variant);
        check_step(step, &access, &self.caps, &|id| self.buffers.get(&id).map(|(w, _)| w.len() as u64 * 4))?;
        let written =
            |id: BufferId| step.bindings.iter().zip(&access).any(|(b, a)| b.buffer == id && *a == Access::ReadWrite);
        let mut out: Vec<(BufferId, Vec<u32>)> = Vec::new();
        for bind in &step.bindings {
            if written(bind.buffer) && !out.iter().any(|(id, _)| *id == bind.buffer) {
                let words = self.buffers.get_mut(&bind.buffer).map(|(words, _)| std::mem::take(words));
                out.push((bind.buffer, words.unwrap_or_default()));
            }
        }
        let mut slots: Vec<Option<Slot<'_>>> = step.bindings.iter().map(|_| None).collect();
        for (id, words) in &mut out {
            // Ranges of one buffer do not overlap (`check_step`): cut it in order of their offsets.
            let mut binds: Vec<usize> = (0..step.bindings.len()).filter(|i| step.bindings[*i].buffer == *id).collect();
            binds.sort_by_key(|i| step.bindings[*i].offset);
            let (mut rest, mut cut) = (words.as_mut_slice(), 0);
            for i in binds {
                let bind = &step.bindings[i];
                let (_, tail) = rest.split_at_mut(bind.offset as usize / 4 - cut);
                let (range, tail) = tail.split_at_mut(bind.bytes as usize / 4);
                slots[i] = Some(Slot::Out(range));
                (rest, cut) = (tail, (bind.offset + bind.bytes) as usize / 4);
            }
        }
        let mut io = Vec::with_capacity(slots.len());
        for (slot, bind) in slots.into_iter().zip(&step.bindings) {
            io.push(match slot {
                Some(slot) => slot,
                None => Slot::In(self.words(bind.buffer, bind.offset, bind.bytes)?),
            });
        }
        step.kernel.reference(&step.variant, &step.params, &mut io);
        drop(io);
        for (id, words) in out {
            if let Some(buffer) = self.buffers.get_mut(&id) {
                buffer.0 = words;
            }
        }
        self.counters.dispatches += 1;
        Ok(())
    }

    fn plan(&self, plan: PlanId) -> Result<&Vec<Step>> {
        self.plans.get(&plan.0).ok_or_else(|| Error::Disposed(format!("Plan {} was dropped.", plan.0)))
    }
}

fn freed(id: BufferId) -> Error {
    Error::Disposed(format!("Buffer {} was freed.", id.0))
}

impl Executor for CpuExecutor {
    fn adapter(&self) -> String {
        "CPU references".into()
    }

    fn caps(&self) -> Caps {
        self.caps
    }

    fn create_buffer(&mut self, label: &str, bytes: u64, usage: BufferUse) -> Result<BufferId> {
        let most = self.caps.max_buffer_bytes;
        if bytes > most {
            return Err(Error::LimitExceeded(format!(
                "The buffer `{label}` needs {bytes} bytes, this device allows {most} per buffer."
            )));
        }
        let bytes = bytes.max(16).next_multiple_of(16);
        let mut words = Vec::new();
        words.try_reserve_exact((bytes / 4) as usize).map_err(|_| {
            Error::OutOfMemory(format!("No memory for the buffer `{label}` of {bytes} bytes: choose a smaller model."))
        })?;
        words.resize((bytes / 4) as usize, 0);
        let id = BufferId(self.next_buffer);
        self.next_buffer += 1;
        self.buffers.insert(id, (words, usage));
        self.counters.objects_created += 1;
        self.counters.gpu_bytes += bytes;
        Ok(id)
    }

    fn destroy_buffer(&mut self, id: BufferId) {
        if let Some((words, _)) = self.buffers.remove(&id) {
            self.counters.gpu_bytes -= words.len() as u64 * 4;
        }
    }

    fn write(&mut self, id: BufferId, offset: u64, data: &[u8]) -> Result<()> {
        let target = self.words_mut(id, offset, data.len() as u64)?;
        bytemuck::cast_slice_mut(target).copy_from_slice(data);
        if self.buffers.get(&id).is_some_and(|(_, usage)| *usage != BufferUse::Weights) {
            self.counters.uploaded_bytes += data.len() as u64;
        }
        Ok(())
    }

    fn copy(&mut self, from: BufferId, from_offset: u64, to: BufferId, to_offset: u64, bytes: u64) -> Result<()> {
        if from == to {
            return Err(Error::BadRequest("WebGPU cannot copy within one buffer: copy through another.".into()));
        }
        self.words(to, to_offset, bytes)?;
        let words = self.words(from, from_offset, bytes)?.to_vec();
        self.words_mut(to, to_offset, bytes)?.copy_from_slice(&words);
        Ok(())
    }

    fn flush(&mut self) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn read(&mut self, id: BufferId, offset: u64, bytes: u64) -> LocalFuture<'static, Result<Vec<u8>>> {
        let result = self.words(id, offset, bytes).map(|words| bytemuck::cast_slice(words).to_vec());
        self.counters.readback_bytes += bytes;
        Box::pin(std::future::ready(result))
    }

    fn compile(&mut self, steps: &[Step]) -> Result<PlanId> {
        for step in steps {
            let access = step.kernel.access(&step.variant);
            check_step(step, &access, &self.caps, &|id| self.buffers.get(&id).map(|(w, _)| w.len() as u64 * 4))?;
        }
        let id = self.next_plan;
        self.next_plan += 1;
        self.plans.insert(id, steps.to_vec());
        Ok(PlanId(id))
    }

    fn warm_up(&mut self, _steps: &[Step]) -> Result<()> {
        Ok(())
    }

    fn drop_plan(&mut self, plan: PlanId) {
        self.plans.remove(&plan.0);
    }

    fn run(&mut self, plan: PlanId) -> Result<()> {
        for index in 0..self.plan(plan)?.len() {
            self.run_step(plan, index)?;
        }
        self.counters.submits += 1;
        Ok(())
    }

    fn run_and_read_word(
        &mut self,
        plan: PlanId,
        id: BufferId,
        offset: u64,
    ) -> Result<LocalFuture<'static, Result<u32>>> {
        self.run(plan)?;
        let word = self.words(id, offset, 4)?[0];
        self.counters.readback_bytes += 4;
        Ok(Box::pin(std::future::ready(Ok(word))))
    }

    fn run_step(&mut self, plan: PlanId, index: usize) -> Result<()> {
        let steps = self.plan(plan)?;
        let step = steps.get(index).cloned();
        let step = step.ok_or_else(|| Error::BadRequest(format!("Plan {} has no step {index}.", plan.0)))?;
        self.step(&step)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
