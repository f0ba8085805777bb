//! Shared by the tests: capabilities of a tier, the kernels to test, the variants that plans ask for.

#![allow(dead_code)] // each test binary uses its own part

pub mod plans;
mod specs;

use lacewing::kernels::{ALL, Caps, Kernel, Tier};

/// The spec's default limits with the features of `tier`.
pub fn caps_of(tier: Tier) -> Caps {
    Caps {
        f16: matches!(tier, Tier::F16 | Tier::All),
        subgroups: matches!(tier, Tier::Subgroups | Tier::All),
        ..Caps::BASE
    }
}

/// The registry, or only the stem that `LACEWING_KERNEL` names. Panics when it names none: a test that runs nothing
/// must not pass.
pub fn kernels() -> Vec<&'static dyn Kernel> {
    let Ok(wanted) = std::env::var("LACEWING_KERNEL") else { return ALL.to_vec() };
    let found: Vec<_> = ALL.iter().copied().filter(|k| k.stem() == wanted).collect();
    assert!(!found.is_empty(), "LACEWING_KERNEL={wanted} is no stem; there are {:?}", stems());
    found
}

/// All stems of the registry.
pub fn stems() -> Vec<&'static str> {
    ALL.iter().map(|k| k.stem()).collect()
}

/// A GPU restricted to `tier` (lavapipe in CI). Panics without an adapter: a GPU test that runs nothing must not pass.
pub fn gpu(tier: Option<Tier>) -> lacewing::gpu::Gpu {
    let options = lacewing::gpu::GpuOptions { tier, allow_software: true, ..Default::default() };
    pollster::block_on(lacewing::gpu::Gpu::new(options)).unwrap_or_else(|e| panic!("no GPU for this test: {e}"))
}
