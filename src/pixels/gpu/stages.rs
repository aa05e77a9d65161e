//! The stages as shaders: their sources and their compiled pipelines.

use super::params;

/// `horizontal`: its own file and what it calls.
pub const HORIZONTAL_WGSL: &str = concat!(
    include_str!("../../../shaders/common/four.wgsl"),
    include_str!("../../../shaders/common/half.wgsl"),
    include_str!("../../../shaders/common/srgb.wgsl"),
    include_str!("../../../shaders/horizontal.wgsl")
);

/// `vertical`: its own file and what it calls.
pub const VERTICAL_WGSL: &str = concat!(
    include_str!("../../../shaders/common/four.wgsl"),
    include_str!("../../../shaders/common/half.wgsl"),
    include_str!("../../../shaders/common/srgb.wgsl"),
    include_str!("../../../shaders/vertical.wgsl")
);

/// A shader and one of its entry points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `horizontal`, from 8-bit pixels.
    HorizontalFirst,
    /// `horizontal`, from 16-bit floats.
    HorizontalMiddle,
    /// `vertical`, to 16-bit floats.
    VerticalMiddle,
    /// `vertical`, to 8-bit pixels.
    VerticalLast,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::HorizontalFirst, Self::HorizontalMiddle, Self::VerticalMiddle, Self::VerticalLast];

    /// The label that profilers and validation show.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::HorizontalFirst => "horizontal.first",
            Self::HorizontalMiddle => "horizontal.middle",
            Self::VerticalMiddle => "vertical.middle",
            Self::VerticalLast => "vertical.last",
        }
    }

    /// The joined source.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::HorizontalFirst | Self::HorizontalMiddle => HORIZONTAL_WGSL,
            Self::VerticalMiddle | Self::VerticalLast => VERTICAL_WGSL,
        }
    }

    /// The entry point in it.
    #[must_use]
    pub const fn entry_point(self) -> &'static str {
        match self {
            Self::HorizontalFirst => "first",
            Self::HorizontalMiddle | Self::VerticalMiddle => "middle",
            Self::VerticalLast => "last",
        }
    }

    /// Workgroups for a result of this size, in x and y: 64 invocations each, in x; 4 columns of 2
    /// rows, or 4 rows of 1 column, an invocation.
    #[must_use]
    pub const fn groups(self, width: u32, height: u32) -> [u32; 2] {
        match self {
            Self::HorizontalFirst | Self::HorizontalMiddle => [width.div_ceil(4).div_ceil(64), height.div_ceil(2)],
            Self::VerticalMiddle | Self::VerticalLast => [width.div_ceil(64), height.div_ceil(4)],
        }
    }
}

/// What both shaders bind, in order: source, result, blocks, weights, parameters.
#[derive(Debug)]
pub(super) struct Pipelines {
    pub(super) layout: wgpu::BindGroupLayout,
    horizontal_first: wgpu::ComputePipeline,
    horizontal_middle: wgpu::ComputePipeline,
    vertical_middle: wgpu::ComputePipeline,
    vertical_last: wgpu::ComputePipeline,
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
        let module = |label, source: &'static str| {
            let source = wgpu::ShaderSource::Wgsl(source.into());
            device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(label), source })
        };
        let horizontal = module("horizontal", HORIZONTAL_WGSL);
        let vertical = module("vertical", VERTICAL_WGSL);
        let pipeline = |stage: Stage, module| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(stage.label()),
                layout: Some(&pipeline_layout),
                module,
                entry_point: Some(stage.entry_point()),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        Self {
            horizontal_first: pipeline(Stage::HorizontalFirst, &horizontal),
            horizontal_middle: pipeline(Stage::HorizontalMiddle, &horizontal),
            vertical_middle: pipeline(Stage::VerticalMiddle, &vertical),
            vertical_last: pipeline(Stage::VerticalLast, &vertical),
            layout,
        }
    }

    pub(super) const fn get(&self, stage: Stage) -> &wgpu::ComputePipeline {
        match stage {
            Stage::HorizontalFirst => &self.horizontal_first,
            Stage::HorizontalMiddle => &self.horizontal_middle,
            Stage::VerticalMiddle => &self.vertical_middle,
            Stage::VerticalLast => &self.vertical_last,
        }
    }
}

/// The parameters of a stage, as its shader reads them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Params {
    Horizontal(params::Horizontal),
    Vertical(params::Vertical),
}

impl Params {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Horizontal(params) => bytemuck::bytes_of(params),
            Self::Vertical(params) => bytemuck::bytes_of(params),
        }
    }
}
