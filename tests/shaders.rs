//! Every variant that a plan can ask for, checked without a GPU: expands, parses, validates with only the features it
//! declares, keeps to the limits of the base tier, and agrees with what its kernel file says about it.

mod common;

use common::plans::{Asked, BEST_FIRST, asked, pairwise};
use lacewing::gpu::wgsl::{Host, SHADERS, expand};
use lacewing::kernels::params::{Field, Scalar, fields};
use lacewing::kernels::{ALL, Access, Kernel, StepState, Tier, Variant, cases, sample_reduce};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, StorageAccess, TypeInner};
use std::collections::HashSet;
use std::path::Path;

/// What every WebGPU adapter has.
const MAX_STORAGE_BUFFERS: usize = 8;
const MAX_WORKGROUP_BYTES: u32 = 16 << 10;
const MAX_INVOCATIONS: u32 = 256;
const MAX_UNIFORM_BYTES: u32 = 64 << 10;

fn capabilities(variant: &Variant) -> Capabilities {
    // pack2x16float, unpack2x16float and quantizeToF16 are core WGSL.
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    if variant.has("F16") {
        capabilities |= Capabilities::SHADER_FLOAT16;
    }
    if variant.has("SUBGROUPS") {
        capabilities |= Capabilities::SUBGROUP;
    }
    capabilities
}

/// Everything wrong with one variant.
fn check(kernel: &dyn Kernel, variant: &Variant) -> Result<(), String> {
    let text = expand(variant, Host::Naga).map_err(|e| e.to_string())?;
    if expand(variant, Host::Naga).as_ref() != Ok(&text) {
        return Err("expands differently the second time".into());
    }
    let module = naga::front::wgsl::parse_str(&text).map_err(|e| e.emit_to_string(&text))?;
    Validator::new(ValidationFlags::all(), capabilities(variant))
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .validate(&module)
        .map_err(|e| e.emit_to_string(&text))?;
    check_interface(kernel, variant, &module)
}

/// The members of a struct as Rust would declare them.
fn members_of(module: &naga::Module, ty: &naga::Type) -> Result<Vec<Field>, String> {
    let TypeInner::Struct { members, .. } = &ty.inner else { return Err("no struct".into()) };
    let field = |member: &naga::StructMember| {
        let name = member.name.clone().unwrap_or_default();
        let (scalar, len) = match module.types[member.ty].inner {
            TypeInner::Scalar(scalar) => (scalar, 1),
            TypeInner::Vector { size, scalar } => (scalar, size as usize),
            ref other => return Err(format!("`{name}` is {other:?}, expected a scalar or a vector")),
        };
        let scalar = match scalar {
            naga::Scalar::U32 => Scalar::U32,
            naga::Scalar::F32 => Scalar::F32,
            other => return Err(format!("`{name}` holds {other:?}, expected u32 or f32")),
        };
        // Names live as long as the test: `Field` takes those of the Rust source.
        Ok(Field { name: name.leak(), offset: member.offset as usize, scalar, len })
    };
    members.iter().map(field).collect()
}

fn check_interface(kernel: &dyn Kernel, variant: &Variant, module: &naga::Module) -> Result<(), String> {
    let mut wrong = Vec::new();
    let [entry] = module.entry_points.as_slice() else {
        return Err(format!("{} entry points, expected one", module.entry_points.len()));
    };
    if entry.stage != naga::ShaderStage::Compute || entry.name != "main" {
        wrong.push(format!("the entry point is {:?} `{}`, expected compute `main`", entry.stage, entry.name));
    }
    let invocations: u32 = entry.workgroup_size.iter().product();
    if invocations == 0 || invocations > MAX_INVOCATIONS {
        wrong.push(format!("{invocations} invocations, expected 1..={MAX_INVOCATIONS}"));
    }
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let mut workgroup_bytes = 0u32;
    let mut storage: Vec<(u32, Access)> = Vec::new();
    let mut uniforms = 0;
    for (_, global) in module.global_variables.iter() {
        let name = global.name.as_deref().unwrap_or("?");
        let at = global.binding.as_ref();
        match global.space {
            AddressSpace::WorkGroup => workgroup_bytes += layouter[global.ty].size.next_multiple_of(16),
            AddressSpace::Uniform if at.is_some_and(|b| b.group == 0 && b.binding > 0) => {
                let size = layouter[global.ty].size;
                if size > MAX_UNIFORM_BYTES {
                    wrong.push(format!("uniform `{name}` has {size} bytes, at most {MAX_UNIFORM_BYTES}"));
                }
                storage.extend(at.map(|b| (b.binding, Access::Uniform)));
            }
            AddressSpace::Uniform => {
                uniforms += 1;
                let ty = &module.types[global.ty];
                let size = layouter[global.ty].size;
                if at.is_none_or(|b| b.group != 0 || b.binding != 0) {
                    wrong.push(format!("uniform `{name}` is at {at:?}, expected group 0, binding 0"));
                }
                if ty.name.as_deref() != Some("Params") || !matches!(ty.inner, TypeInner::Struct { .. }) {
                    wrong.push(format!("uniform `{name}` has type {:?}, expected `struct Params`", ty.name));
                }
                if size > MAX_UNIFORM_BYTES {
                    wrong.push(format!("`struct Params` is {size} bytes, at most {MAX_UNIFORM_BYTES}"));
                }
            }
            AddressSpace::Storage { access } => {
                let access = if access.contains(StorageAccess::STORE) { Access::ReadWrite } else { Access::Read };
                match at {
                    Some(b) if b.group == 0 => storage.push((b.binding, access)),
                    _ => wrong.push(format!("storage buffer `{name}` is at {at:?}, expected group 0")),
                }
            }
            AddressSpace::Private => {}
            space => wrong.push(format!("`{name}` is in {space:?}, which no kernel may use")),
        }
    }
    let shared = [
        ("Params", kernel.params_fields()),
        ("State", fields::<StepState>()),
        ("Sampling", fields::<sample_reduce::Sampling>()),
    ];
    for (name, expected) in shared {
        let found = module.types.iter().filter(|(_, ty)| ty.name.as_deref() == Some(name));
        for members in found.map(|(_, ty)| members_of(module, ty)) {
            if members.as_ref() != Ok(&expected) {
                wrong.push(format!("`struct {name}` is {members:?} in WGSL, {expected:?} in Rust"));
            }
        }
    }
    if uniforms != 1 {
        wrong.push(format!("{uniforms} uniform buffers, expected one"));
    }
    storage.sort_by_key(|(binding, _)| *binding);
    let expected: Vec<(u32, Access)> = (1..).zip(kernel.access(variant)).collect();
    if storage != expected {
        wrong.push(format!("storage bindings are {storage:?} in WGSL, {expected:?} in access()"));
    }
    let buffers = storage.iter().filter(|(_, access)| *access != Access::Uniform).count();
    if buffers > MAX_STORAGE_BUFFERS {
        wrong.push(format!("{buffers} storage buffers, at most {MAX_STORAGE_BUFFERS}"));
    }
    if workgroup_bytes > MAX_WORKGROUP_BYTES {
        wrong.push(format!("{workgroup_bytes} bytes of workgroup memory, at most {MAX_WORKGROUP_BYTES}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Stems that no plan uses, and why they are there.
const UNPLANNED: &[(&str, &str)] = &[("bandwidth", "`bench` times a plain read with it")];

/// Flags in a table of cases that no plan asks for together, and why they stay: `stem.FLAG.FLAG`, sorted.
const UNASKED: &[(&str, &str)] = &[];

/// Every variant to check: those that plans ask for, and those of kernels that only tools use.
fn variants() -> Vec<Asked> {
    let mut all = asked();
    for (stem, why) in UNPLANNED {
        assert!(all.iter().all(|a| a.variant.stem != *stem), "{stem} is in a plan, take it off the list ({why})");
        for tier in BEST_FIRST {
            for case in cases::table(stem, &common::caps_of(tier)) {
                if all.iter().all(|a| a.variant != case.step.variant) {
                    all.push(Asked { variant: case.step.variant, tier, by: why.to_string() });
                }
            }
        }
    }
    all
}

#[test]
fn every_variant_is_valid() {
    let mut failures = Vec::new();
    let variants = variants();
    for Asked { variant, by, .. } in &variants {
        let kernel = ALL.iter().find(|k| k.stem() == variant.stem).expect("a stem of the registry");
        if let Err(why) = check(*kernel, variant) {
            failures.push(format!("{} ({by}): {why}", variant.name()));
        }
    }
    for stem in common::stems() {
        println!("{:5} variants of {stem}", variants.iter().filter(|a| a.variant.stem == stem).count());
        if variants.iter().all(|a| a.variant.stem != stem) {
            failures.push(format!("{stem}: no plan asks for it, and it is not in UNPLANNED"));
        }
    }
    println!("{} variants", variants.len());
    let mut names: Vec<String> = variants.iter().map(|a| a.variant.name()).collect();
    names.sort();
    names.dedup();
    if names.len() != variants.len() {
        failures.push("two variants share a name".into());
    }
    let shown: Vec<&str> = failures.iter().take(20).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} failures, the first {}:\n\n{}", failures.len(), shown.len(), shown.join("\n\n"));
    if let Some(path) = std::env::var_os("LACEWING_DUMP_WGSL") {
        dump(&variants, Path::new(&path));
    }
}

/// Stem and flags without those of the tier: what a kernel was asked to do, whatever the shape, layout and device.
fn family(variant: &Variant) -> String {
    let mut flags: Vec<&str> = variant.flags.iter().copied().filter(|f| !["F16", "SUBGROUPS"].contains(f)).collect();
    flags.sort();
    [&[variant.stem], flags.as_slice()].concat().join(".")
}

/// What plans ask for has a case of exactly that variant, and cases test nothing that plans do not ask for.
#[test]
fn cases_are_what_plans_ask_for() {
    let mut failures = Vec::new();
    let variants = variants();
    let asked: HashSet<String> = variants.iter().map(|a| family(&a.variant)).collect();
    for Asked { variant, by, .. } in &variants {
        let step = cases::case_for(variant).step;
        if step.params.len() != step.kernel.params_bytes() {
            failures.push(format!("{} ({by}): {} bytes of params", variant.name(), step.params.len()));
        }
    }
    let mut unasked = HashSet::new();
    for stem in common::stems() {
        for tier in [Tier::All, Tier::Base] {
            let table = cases::table(stem, &common::caps_of(tier));
            if table.is_empty() {
                failures.push(format!("{stem}: an empty table"));
            }
            unasked.extend(table.iter().map(|c| family(&c.step.variant)).filter(|f| !asked.contains(f)));
        }
    }
    for family in &unasked {
        if !UNASKED.iter().any(|(listed, _)| listed == family) {
            failures.push(format!("{family}: the table has it and no plan asks for it"));
        }
    }
    for (listed, why) in UNASKED {
        if !unasked.contains(*listed) {
            failures.push(format!("{listed} is listed ({why}), but plans ask for it or no case uses it"));
        }
    }
    failures.sort();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Writes all texts as JSON: `tests/browser` compiles them with the browsers' own compilers.
fn dump(variants: &[Asked], path: &Path) {
    let chosen: HashSet<String> = pairwise(variants).iter().map(|a| a.variant.name()).collect();
    let mut texts: Vec<_> = variants
        .iter()
        .map(|Asked { variant, .. }| {
            serde_json::json!({
                "name": variant.name(),
                "f16": variant.has("F16"),
                "subgroups": variant.has("SUBGROUPS"),
                // Of the choice that the kernel tests run on software GPUs.
                "chosen": chosen.contains(&variant.name()),
                "tint": expand(variant, Host::Tint).unwrap(),
                "naga": expand(variant, Host::Naga).unwrap(),
            })
        })
        .collect();
    texts.sort_by_key(|text| text["name"].to_string());
    std::fs::write(path, serde_json::to_string(&texts).unwrap()).unwrap();
}

/// `shaders/<stem>.wgsl`, `src/kernels/<stem>.rs` and the registry entry come together or not at all.
#[test]
fn every_shader_has_its_kernel_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stems: Vec<String> =
        SHADERS.iter().map(|(name, _)| name.to_string()).filter(|name| !name.contains('/')).collect();
    stems.extend(common::stems().iter().map(|s| s.to_string()));
    for entry in std::fs::read_dir(root.join("src/kernels")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
        let text = if path.is_file() { std::fs::read_to_string(&path).unwrap() } else { String::new() };
        if text.contains("impl Kernel for") {
            stems.push(stem);
        }
    }
    stems.sort();
    stems.dedup();
    let mut missing = Vec::new();
    for stem in &stems {
        if !SHADERS.iter().any(|(name, _)| name == stem) {
            missing.push(format!("{stem}: no shaders/{stem}.wgsl"));
        }
        if !root.join(format!("src/kernels/{stem}.rs")).is_file() {
            missing.push(format!("{stem}: no src/kernels/{stem}.rs"));
        }
        if common::stems().iter().filter(|s| *s == stem).count() != 1 {
            missing.push(format!("{stem}: not exactly once in kernels::ALL"));
        }
    }
    assert!(!stems.is_empty() && missing.is_empty(), "{}", missing.join("\n"));
}
