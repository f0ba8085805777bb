//! Every kernel against its reference, on a GPU (lavapipe will do): cases of the variants that plans ask for, and
//! the tables of all kernels. A text that several tiers share runs once. One report at the end.
//!
//! `LACEWING_KERNEL=matvec cargo test --test kernels` runs one kernel; needs an adapter with f16 and subgroups.

mod common;

use common::plans::{BEST_FIRST, asked, pairwise};
use lacewing::execute::compare::{compare, kind_of};
use lacewing::execute::{BufferUse, Executor};
use lacewing::gpu::Gpu;
use lacewing::kernels::cases::{self, Case};
use lacewing::kernels::{Access, Bind, BufferId, OutputKind, Slot, Step, Tier};
use std::time::Instant;

/// Words put before and after the contents of every buffer: 256 bytes, so that offsets of bindings stay legal.
const GUARD: usize = 64;

fn guard(i: usize) -> u32 {
    0xbad0_0000 | i as u32
}

/// The buffers after `reference`.
fn run_reference(case: &Case, access: &[Access]) -> Vec<Vec<u32>> {
    let mut after = case.buffers.clone();
    let words = |b: &Bind| b.offset as usize / 4..(b.offset + b.bytes) as usize / 4;
    // A copy per binding: cases are small, and bindings of one buffer may not overlap where one is written.
    let mut copies: Vec<Vec<u32>> =
        case.step.bindings.iter().map(|b| case.buffers[b.buffer.0 as usize][words(b)].to_vec()).collect();
    let mut io: Vec<Slot<'_>> = copies
        .iter_mut()
        .zip(access)
        .map(|(copy, access)| match access {
            Access::Read | Access::Uniform => Slot::In(copy),
            Access::ReadWrite => Slot::Out(copy),
        })
        .collect();
    case.step.kernel.reference(&case.step.variant, &case.step.params, &mut io);
    drop(io);
    for ((bind, copy), access) in case.step.bindings.iter().zip(&copies).zip(access) {
        if *access == Access::ReadWrite {
            after[bind.buffer.0 as usize][words(bind)].copy_from_slice(copy);
        }
    }
    after
}

/// The buffers after the GPU ran the step; guards included.
fn run_gpu(gpu: &mut Gpu, case: &Case) -> lacewing::Result<Vec<Vec<u32>>> {
    let mut ids = Vec::new();
    let mut bytes = Vec::new();
    for (i, words) in case.buffers.iter().enumerate() {
        let mut padded: Vec<u32> = (0..GUARD).map(guard).collect();
        padded.extend(words);
        padded.extend((0..GUARD).map(guard));
        padded.resize(padded.len().next_multiple_of(4), 0);
        bytes.push(padded.len() as u64 * 4);
        let id = gpu.create_buffer(&format!("case {i}"), padded.len() as u64 * 4, BufferUse::Scratch)?;
        gpu.write(id, 0, bytemuck::cast_slice(&padded))?;
        ids.push(id);
    }
    let moved = |b: &Bind| Bind { buffer: ids[b.buffer.0 as usize], offset: b.offset + 4 * GUARD as u64, ..*b };
    let step = Step { bindings: case.step.bindings.iter().map(moved).collect(), ..case.step.clone() };
    let plan = gpu.compile(&[step])?;
    gpu.run(plan)?;
    let mut after = Vec::new();
    for (id, bytes) in ids.iter().zip(bytes) {
        after.push(bytemuck::pod_collect_to_vec(&pollster::block_on(gpu.read(*id, 0, bytes))?));
    }
    gpu.drop_plan(plan);
    ids.iter().for_each(|id: &BufferId| gpu.destroy_buffer(*id));
    Ok(after)
}

/// Everything wrong with one case.
fn check(gpu: &mut Gpu, case: &Case) -> Result<(), String> {
    let access = case.step.kernel.access(&case.step.variant);
    let expected = run_reference(case, &access);
    let found = run_gpu(gpu, case).map_err(|e| e.to_string())?;
    let mut wrong = Vec::new();
    let mut changed = 0;
    let mut written = 0;
    for (binding, (bind, access)) in case.step.bindings.iter().zip(&access).enumerate() {
        if *access != Access::ReadWrite {
            continue;
        }
        let kind = kind_of(case.step.kernel.outputs(&case.step.variant), written);
        written += 1;
        let id = bind.buffer.0 as usize;
        let range = bind.offset as usize / 4..(bind.offset + bind.bytes) as usize / 4;
        let (before, after) = (&case.buffers[id][range.clone()], &expected[id][range.clone()]);
        let gpu_after = &found[id][GUARD + range.start..GUARD + range.end];
        let result = compare(kind, Some(before), after, gpu_after, (case.atol, case.rtol));
        changed += result.changed;
        if !result.power.is_finite() {
            wrong.push(format!("binding {}: the reference is not finite", binding + 1));
        }
        if kind != OutputKind::U32 && result.changed > 0 && result.power == 0.0 {
            wrong.push(format!("binding {}: the reference is all zero", binding + 1));
        }
        if result.wrong > 0 {
            wrong.push(format!(
                "binding {}: {} of {} elements wrong, NMSE {:.3e}, atol {}, rtol {}",
                binding + 1,
                result.wrong,
                result.changed,
                result.nmse(),
                case.atol,
                case.rtol
            ));
            for m in &result.first {
                wrong.push(format!("    [{}] expected {}, found {}", m.element, m.expected, m.found));
            }
        }
    }
    if changed == 0 {
        wrong.push("the reference changes nothing: such a case cannot fail".into());
    }
    for (id, (words, found)) in expected.iter().zip(&found).enumerate() {
        let bound = |i: usize| {
            let bindings = case.step.bindings.iter().zip(&access);
            bindings
                .filter(|(b, a)| b.buffer.0 as usize == id && **a == Access::ReadWrite)
                .any(|(b, _)| (b.offset..b.offset + b.bytes).contains(&(i as u64 * 4)))
        };
        let stray = (0..words.len()).filter(|i| !bound(*i) && found[GUARD + i] != words[*i]).count();
        let guards =
            (0..GUARD).filter(|i| found[*i] != guard(*i) || found[GUARD + words.len() + i] != guard(*i)).count();
        if stray + guards > 0 {
            wrong.push(format!("buffer {id}: {stray} words outside of the bindings and {guards} guards overwritten"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Runs cases of the wanted kernels on each tier and reports what is wrong with them.
fn run(cases: impl Fn(Tier, &str) -> Vec<Box<dyn FnOnce() -> Case>>) {
    let stems: Vec<&str> = common::kernels().iter().map(|k| k.stem()).collect();
    let (mut n, mut failures) = (0, Vec::new());
    for tier in BEST_FIRST {
        let mut gpu = common::gpu(Some(tier));
        println!("{}: {}", tier.name(), gpu.adapter());
        for stem in &stems {
            let cases = cases(tier, stem);
            let (count, start) = (cases.len(), Instant::now());
            for case in cases {
                let case = case();
                if let Err(why) = check(&mut gpu, &case) {
                    failures.push(format!("{} {} ({}): {why}", tier.name(), case.step.variant.name(), case.step.label));
                }
            }
            n += count;
            println!("  {stem}: {count} cases in {:.1?}", start.elapsed());
        }
    }
    // A kernel that is run alone may be one that no plan uses; its table is never empty (`tests/shaders.rs`).
    assert!(n > 0 || std::env::var_os("LACEWING_KERNEL").is_some(), "no cases");
    // The report stays readable when one mistake fails hundreds of cases.
    let shown: Vec<&str> = failures.iter().take(20).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} failures, the first {}:\n\n{}", failures.len(), shown.len(), shown.join("\n\n"));
}

/// On a software GPU every pair of options; `LACEWING_ALL_VARIANTS=1` runs all of them there, too.
#[test]
fn what_plans_ask_for_agrees_with_its_reference() {
    let asked = asked();
    let all = !common::gpu(None).caps().software || std::env::var_os("LACEWING_ALL_VARIANTS").is_some();
    let chosen = if all { asked.iter().collect() } else { pairwise(&asked) };
    println!("{} of {} variants", chosen.len(), asked.len());
    run(|tier, stem| {
        let here = chosen.iter().filter(|a| a.tier == tier && a.variant.stem == stem);
        here.map(|a| {
            let variant = a.variant.clone();
            Box::new(move || cases::case_for(&variant)) as Box<dyn FnOnce() -> Case>
        })
        .collect()
    });
}

/// On the best tier, and on the lowest where texts do not also differ by layout: the tables are about shapes and
/// inputs, and what tiers change is the same for all layouts.
#[test]
fn tables_agree_with_their_references() {
    run(|tier, stem| {
        let mut cases = match tier {
            Tier::All | Tier::Base => cases::table(stem, &common::caps_of(tier)),
            _ => Vec::new(),
        };
        cases.retain(|c| tier == Tier::All || c.step.variant.layout.is_none());
        cases.into_iter().map(|c| Box::new(move || c) as Box<dyn FnOnce() -> Case>).collect()
    });
}
