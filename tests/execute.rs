//! The executors: what a steady loop costs, the order of reads in flight, and how failures arrive. On lavapipe or
//! any other adapter.

mod common;

use lacewing::execute::bisect::{Tolerance, bisect};
use lacewing::execute::cpu::CpuExecutor;
use lacewing::execute::{BufferUse, Counters, Executor, PlanId};
use lacewing::formats::source::LocalFuture;
use lacewing::gpu::{Gpu, GpuOptions};
use lacewing::kernels::cases::{Case, table};
use lacewing::kernels::{Access, Bind, BufferId, Caps, Kernel, Step, rms_norm::RmsNorm};
use pollster::block_on;
use std::collections::VecDeque;

fn case(caps: &Caps) -> Case {
    table("rms_norm", caps).swap_remove(0)
}

/// Puts the buffers of a case on an executor, and points its step at them.
fn load(executor: &mut dyn Executor, case: &Case) -> Step {
    let mut ids = Vec::new();
    for words in &case.buffers {
        let id = executor.create_buffer("case", words.len() as u64 * 4, BufferUse::Scratch).unwrap();
        executor.write(id, 0, bytemuck::cast_slice(words)).unwrap();
        ids.push(id);
    }
    let bindings = case.step.bindings.iter().map(|b| Bind { buffer: ids[b.buffer.0 as usize], ..*b }).collect();
    Step { bindings, ..case.step.clone() }
}

/// A plan of `n` times the same step.
fn plan(executor: &mut dyn Executor, n: usize) -> PlanId {
    let case = case(&executor.caps());
    let step = load(executor, &case);
    executor.compile(&vec![step; n]).unwrap()
}

fn since(after: Counters, before: Counters) -> [u64; 5] {
    [
        after.dispatches - before.dispatches,
        after.submits - before.submits,
        after.objects_created - before.objects_created,
        after.uploaded_bytes - before.uploaded_bytes,
        after.readback_bytes - before.readback_bytes,
    ]
}

#[test]
fn a_steady_loop_creates_nothing() {
    let mut gpu = common::gpu(None);
    let plan = plan(&mut gpu, 7);
    let word = gpu.create_buffer("word", 16, BufferUse::State).unwrap();
    gpu.write(word, 8, &4711u32.to_le_bytes()).unwrap();
    let before = gpu.counters();
    let mut in_flight: VecDeque<LocalFuture<'static, lacewing::Result<u32>>> = VecDeque::new();
    for _ in 0..50 {
        in_flight.push_back(gpu.run_and_read_word(plan, word, 8).unwrap());
        if in_flight.len() == 3 {
            assert_eq!(block_on(in_flight.pop_front().unwrap()).unwrap(), 4711);
        }
    }
    assert_eq!(since(gpu.counters(), before), [350, 50, 0, 0, 200]);
    assert!(gpu.counters().record_ns > before.record_ns);
}

#[test]
fn reads_in_flight_keep_their_order_and_the_ring_grows() {
    let mut gpu = common::gpu(None);
    let plan = plan(&mut gpu, 1);
    let word = gpu.create_buffer("word", 16, BufferUse::State).unwrap();
    let before = gpu.counters().objects_created;
    let mut reads = Vec::new();
    for i in 0..6u32 {
        gpu.write(word, 0, &i.to_le_bytes()).unwrap();
        reads.push(gpu.run_and_read_word(plan, word, 0).unwrap());
    }
    assert_eq!(gpu.counters().objects_created - before, 2); // four are made in advance
    for (i, read) in reads.into_iter().enumerate() {
        assert_eq!(block_on(read).unwrap(), i as u32);
    }
    // Reads that nobody awaits give their buffers back once the device is done with them.
    for _ in 0..3 {
        for _ in 0..6 {
            drop(gpu.run_and_read_word(plan, word, 0).unwrap());
        }
        block_on(gpu.flush()).unwrap();
    }
    assert_eq!(block_on(gpu.run_and_read_word(plan, word, 0).unwrap()).unwrap(), 5);
    assert_eq!(gpu.counters().objects_created - before, 2);
}

#[test]
fn long_plans_are_split_and_compute_the_same() {
    let mut gpu = common::gpu(None);
    let case = case(&gpu.caps());
    let access = RmsNorm.access(&case.step.variant);
    let out = access.iter().position(|a| *a == Access::ReadWrite).unwrap();
    let mut results = Vec::new();
    for (n, submits) in [(1, 1), (601, 3)] {
        let step = load(&mut gpu, &case);
        let bind = step.bindings[out];
        let plan = gpu.compile(&vec![step; n]).unwrap();
        let before = gpu.counters();
        gpu.run(plan).unwrap();
        assert_eq!(since(gpu.counters(), before)[..2], [n as u64, submits]);
        results.push(block_on(gpu.read(bind.buffer, bind.offset, bind.bytes)).unwrap());
    }
    assert!(results[0] == results[1]);
}

#[test]
fn buffers_start_zeroed_copy_and_count() {
    let mut cpu = CpuExecutor::default();
    let mut gpu = common::gpu(None);
    for executor in [&mut cpu as &mut dyn Executor, &mut gpu] {
        let a = executor.create_buffer("a", 20, BufferUse::Cache).unwrap();
        let b = executor.create_buffer("b", 32, BufferUse::Weights).unwrap();
        let bytes = executor.counters().gpu_bytes;
        executor.write(b, 4, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        executor.copy(b, 4, a, 16, 8).unwrap();
        let read = block_on(executor.read(a, 0, 32)).unwrap();
        assert_eq!(read[..16], [0; 16]);
        assert_eq!(read[16..24], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(executor.counters().uploaded_bytes, 0); // weights do not count
        for (offset, len) in [(28, 8), (2, 4), (u64::MAX - 3, 4)] {
            assert_eq!(executor.write(a, offset, &vec![0; len]).unwrap_err().code(), "bad-request");
        }
        executor.destroy_buffer(a);
        assert_eq!(bytes - executor.counters().gpu_bytes, 32);
        assert_eq!(executor.write(a, 0, &[0; 4]).unwrap_err().code(), "disposed");
        assert_eq!(block_on(executor.read(a, 0, 4)).unwrap_err().code(), "disposed");
        assert_eq!(executor.run(PlanId(77)).unwrap_err().code(), "disposed");
    }
}

#[test]
fn limits_are_named() {
    let options = GpuOptions {
        allow_software: true,
        max_binding_bytes: Some(1 << 16),
        max_buffer_bytes: Some(1 << 20),
        ..GpuOptions::default()
    };
    let mut gpu = block_on(Gpu::new(options)).unwrap();
    let error = gpu.create_buffer("output.weight", 3 << 20, BufferUse::Weights).unwrap_err();
    assert_eq!(error.code(), "limit-exceeded");
    for part in ["output.weight", "3145728", "1048576"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(gpu.create_buffer("huge", u64::MAX, BufferUse::Weights).unwrap_err().code(), "limit-exceeded");

    let case = case(&gpu.caps());
    let mut step = load(&mut gpu, &case);
    let large = gpu.create_buffer("large", 1 << 17, BufferUse::Scratch).unwrap();
    let good = step.bindings[0];
    step.bindings[0] = Bind { buffer: large, offset: 0, bytes: 1 << 17 };
    let error = gpu.compile(&[step.clone()]).unwrap_err();
    assert_eq!(error.code(), "limit-exceeded");
    assert!(error.to_string().contains("131072") && error.to_string().contains("65536"), "{error}");

    step.bindings[0] = Bind { offset: 4, ..good };
    assert_eq!(gpu.compile(&[step.clone()]).unwrap_err().code(), "bad-request");
    step.bindings[0] = Bind { buffer: BufferId(1000), ..good };
    assert_eq!(gpu.compile(&[step.clone()]).unwrap_err().code(), "bad-request");
    step.bindings[0] = good;
    step.grid = [u32::MAX, 1, 1];
    assert_eq!(gpu.compile(&[step.clone()]).unwrap_err().code(), "limit-exceeded");
    // The executor still works after all of these.
    step.grid = case.step.grid;
    let plan = gpu.compile(&[step]).unwrap();
    gpu.run(plan).unwrap();
    block_on(gpu.flush()).unwrap();
}

#[test]
fn a_lost_device_is_an_error_everywhere() {
    let mut gpu = common::gpu(None);
    let plan = plan(&mut gpu, 3);
    let word = gpu.create_buffer("word", 16, BufferUse::State).unwrap();
    let in_flight = gpu.run_and_read_word(plan, word, 0).unwrap();
    gpu.destroy();
    assert_eq!(block_on(in_flight).unwrap_err().code(), "device-lost");
    assert_eq!(gpu.run(plan).unwrap_err().code(), "device-lost");
    assert_eq!(gpu.run_and_read_word(plan, word, 0).err().unwrap().code(), "device-lost");
    assert_eq!(block_on(gpu.flush()).unwrap_err().code(), "device-lost");
    assert_eq!(block_on(gpu.read(word, 0, 4)).unwrap_err().code(), "device-lost");
    assert_eq!(gpu.write(word, 0, &[0; 4]).unwrap_err().code(), "device-lost");
    assert_eq!(gpu.create_buffer("more", 16, BufferUse::State).unwrap_err().code(), "device-lost");
}

#[test]
fn a_software_adapter_is_used_only_when_allowed() {
    let software = common::gpu(None).caps().software;
    let refused = block_on(Gpu::new(GpuOptions::default()));
    match refused {
        Err(error) => {
            assert!(software);
            assert_eq!(error.code(), "unsupported-webgpu");
            assert!(error.to_string().contains("software"), "{error}");
        }
        Ok(gpu) => assert!(!software && !gpu.caps().software),
    }
}

#[test]
fn warm_up_leaves_only_pipelines() {
    let mut gpu = common::gpu(None);
    let case = case(&gpu.caps());
    gpu.warm_up(std::slice::from_ref(&case.step)).unwrap();
    let bytes = gpu.counters().gpu_bytes;
    let before = gpu.counters();
    assert_eq!([before.dispatches, before.submits, before.record_ns], [0; 3]);
    let step = load(&mut gpu, &case);
    let loaded = gpu.counters().objects_created;
    let plan = gpu.compile(&[step]).unwrap();
    assert_eq!(gpu.counters().objects_created - loaded, 2); // params and a bind group, no pipeline
    gpu.drop_plan(plan);
    gpu.warm_up(&[case.step]).unwrap();
    assert_eq!(
        gpu.counters().gpu_bytes - bytes,
        case.buffers.iter().map(|b| (b.len() as u64 * 4).next_multiple_of(16)).sum::<u64>()
    );
}

#[test]
fn profile_names_every_step() {
    let mut gpu = common::gpu(None);
    let plan = plan(&mut gpu, 5);
    match gpu.profile(plan) {
        Ok(times) => {
            let times = block_on(times).unwrap();
            assert_eq!(times.len(), 5);
            assert!(times.iter().sum::<u64>() > 0, "{times:?}");
        }
        Err(error) => assert!(error.to_string().contains("timestamp-query"), "{error}"),
    }
}

#[test]
fn bisect_finds_the_step_at_fault() {
    let mut gpu = common::gpu(None);
    let mut cpu = CpuExecutor::new(gpu.caps());
    let cases: Vec<Case> = table("rms_norm", &gpu.caps()).into_iter().take(3).collect();
    let steps: Vec<Step> = cases.iter().map(|c| load(&mut cpu, c)).collect();
    let on_gpu: Vec<Step> = cases.iter().map(|c| load(&mut gpu, c)).collect();
    assert!(steps.iter().zip(&on_gpu).all(|(a, b)| a.bindings == b.bindings), "same ids on both");
    let plans = (gpu.compile(&on_gpu).unwrap(), cpu.compile(&steps).unwrap());
    let tolerance = Tolerance { atol: 1e-4, rtol: 1e-4 };
    let agree = block_on(bisect(&steps, (&mut gpu, plans.0), (&mut cpu, plans.1), tolerance)).unwrap();
    assert_eq!(agree, None);

    // One wrong input of the second step.
    let access = RmsNorm.access(&steps[1].variant);
    let input = steps[1].bindings.iter().zip(access).find(|(_, a)| *a == Access::Read).unwrap().0;
    let nan = f32::NAN.to_le_bytes();
    gpu.write(input.buffer, input.offset, &nan).unwrap();
    let found = block_on(bisect(&steps, (&mut gpu, plans.0), (&mut cpu, plans.1), tolerance)).unwrap().unwrap();
    assert_eq!(found.index, 1);
    assert!(found.first.found.is_nan() && found.to_string().contains("rms_norm"), "{found}");
}
