//! The only folder that names wgpu: context and capabilities, WGSL templating, pipelines, buffers, execution.

mod buffers;
mod context;
mod execute;
mod executor;
mod pipelines;
#[cfg(not(target_arch = "wasm32"))]
mod profile;
#[cfg(target_arch = "wasm32")]
mod web;
pub mod wgsl;

pub use context::GpuOptions;
pub use execute::Gpu;
