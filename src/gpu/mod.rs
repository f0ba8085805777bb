//! The only folder that names wgpu: context and capabilities, WGSL templating, pipelines, buffers, execution.

pub mod wgsl;
