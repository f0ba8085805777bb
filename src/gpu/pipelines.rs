//! Pipelines by variant, layouts by the accesses of their bindings.

use super::context::Context;
use super::wgsl;
use crate::error::{Error, Result};
use crate::kernels::{Access, Step, Variant};
use std::collections::HashMap;
use std::rc::Rc;

/// A pipeline with the layout of its one bind group.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroupLayout,
    pub access: Vec<Access>,
}

/// The caches.
#[derive(Default)]
pub(super) struct Pipelines {
    by_variant: HashMap<Variant, Rc<Pipeline>>,
    by_access: HashMap<Vec<Access>, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>,
}

impl Pipelines {
    /// The pipeline of a step, and whether it had to be created.
    pub(super) fn get(&mut self, context: &Context, step: &Step) -> Result<(Rc<Pipeline>, bool)> {
        if let Some(found) = self.by_variant.get(&step.variant) {
            return Ok((found.clone(), false));
        }
        let name = step.variant.name();
        let text = wgsl::expand(&step.variant, context.host).map_err(|e| {
            Error::UnsupportedWebGpu(format!("The shader {name} cannot be put together; please report it: {e}"))
        })?;
        let access = step.kernel.access(&step.variant);
        let (bindings, layout) = self.layout(&context.device, &access);
        let source = wgpu::ShaderSource::Wgsl(text.into());
        let module = context.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(&name), source });
        let pipeline = context.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        // Natively errors are known by now; on the web they come with the next flush or read.
        context.health.check()?;
        let pipeline = Rc::new(Pipeline { pipeline, bindings, access });
        self.by_variant.insert(step.variant.clone(), pipeline.clone());
        Ok((pipeline, true))
    }

    fn layout(&mut self, device: &wgpu::Device, access: &[Access]) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
        if let Some(found) = self.by_access.get(access) {
            return found.clone();
        }
        let entry = |binding: u32, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform)];
        for (binding, access) in (1..).zip(access) {
            let ty = match access {
                Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                Access::Uniform => wgpu::BufferBindingType::Uniform,
            };
            entries.push(entry(binding, ty));
        }
        let bindings =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        self.by_access.insert(access.to_vec(), (bindings.clone(), layout.clone()));
        (bindings, layout)
    }
}
