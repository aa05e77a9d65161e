//! The compiled stages of a device.

use super::stages::Stage;

/// What all shaders bind, in order: source, result, blocks (or a second source), weights, parameters.
#[derive(Debug)]
pub(super) struct Pipelines {
    pub(super) layout: wgpu::BindGroupLayout,
    /// As [`Stage::ALL`].
    compiled: Vec<wgpu::ComputePipeline>,
}

impl Pipelines {
    /// Compiles every stage. Errors go to the device's handler.
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let kinds = [storage(true), storage(false), storage(true), storage(true), wgpu::BufferBindingType::Uniform];
        let entries: Vec<wgpu::BindGroupLayoutEntry> = kinds
            .into_iter()
            .zip(0..)
            .map(|(ty, binding)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
                count: None,
            })
            .collect();
        let layout = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some("stage"), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("stage"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let mut module: Option<(&str, wgpu::ShaderModule)> = None;
        let mut compiled = Vec::with_capacity(Stage::ALL.len());
        for stage in Stage::ALL {
            // Forms of one shader stand side by side.
            let (name, its) = module.take().filter(|(name, _)| *name == stage.name()).unwrap_or_else(|| {
                let source = wgpu::ShaderSource::Wgsl(stage.source().into());
                let label = Some(stage.name());
                (stage.name(), device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source }))
            });
            compiled.push(device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(stage.name()),
                layout: Some(&pipeline_layout),
                module: &its,
                entry_point: Some(stage.name()),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &stage.constants(),
                    ..wgpu::PipelineCompilationOptions::default()
                },
                cache: None,
            }));
            module = Some((name, its));
        }
        Self { layout, compiled }
    }

    pub(super) fn get(&self, stage: Stage) -> Option<&wgpu::ComputePipeline> {
        Stage::ALL.iter().zip(&self.compiled).find(|(its, _)| **its == stage).map(|(_, compiled)| compiled)
    }
}
