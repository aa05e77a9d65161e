//! The joined shader modules: valid, laid out as the Rust structs, one twin each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy takes only test functions for tests; this is what they call"
)]

use std::mem::offset_of;

use glimt::pixels::gpu::params::{Horizontal, Vertical};
use glimt::pixels::gpu::stages::{HORIZONTAL_WGSL, Stage, VERTICAL_WGSL};
use glimt::pixels::kernel::Row;
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn parsed(source: &str) -> naga::Module {
    let module =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    // What ships must run on every adapter: the one capability, pack2x16float, is part of WebGPU's core.
    Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32).validate(&module).unwrap();
    module
}

/// Offsets of a struct's members and its size, by name.
fn layout(module: &naga::Module, name: &str) -> (Vec<(String, u32)>, u32) {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name));
    match found.map(|(_, ty)| ty.inner.clone()) {
        Some(naga::TypeInner::Struct { members, span }) => {
            (members.into_iter().map(|member| (member.name.unwrap(), member.offset)).collect(), span)
        }
        other => panic!("{name} is {other:?}"),
    }
}

macro_rules! offsets {
    ($ty:ty: $($field:ident),+) => {
        vec![$((stringify!($field).to_owned(), u32::try_from(offset_of!($ty, $field)).unwrap())),+]
    };
}

#[test]
fn every_stage_is_a_valid_entry_point_of_its_module() {
    for stage in Stage::ALL {
        let module = parsed(stage.source());
        let entry = module.entry_points.iter().find(|entry| entry.name == stage.entry_point()).unwrap();
        assert_eq!(entry.workgroup_size, [64, 1, 1], "{}", stage.label());
    }
    for source in [HORIZONTAL_WGSL, VERTICAL_WGSL] {
        let entries = parsed(source).entry_points.len();
        assert_eq!(entries, Stage::ALL.iter().filter(|stage| stage.source() == source).count(), "none without a stage");
    }
}

#[test]
fn parameter_structs_have_the_shaders_layout() {
    let horizontal = layout(&parsed(HORIZONTAL_WGSL), "Horizontal");
    assert_eq!(horizontal.0, offsets!(Horizontal: source_width, target_width, height, taps));
    assert_eq!(horizontal.1 as usize, size_of::<Horizontal>());
    let vertical = layout(&parsed(VERTICAL_WGSL), "Vertical");
    assert_eq!(vertical.0, offsets!(Vertical: width, target_height, taps, unused));
    assert_eq!(vertical.1 as usize, size_of::<Vertical>());
    // A row is a vec2<u32>: first, then offset.
    assert_eq!((size_of::<Row>(), offset_of!(Row, first), offset_of!(Row, offset)), (8, 0, 4));
}

#[test]
fn the_layout_check_sees_a_moved_member_and_the_validator_a_broken_shader() {
    let moved = VERTICAL_WGSL.replacen("    width: u32,", "    padding: u32,\n    width: u32,", 1);
    assert_ne!(moved, VERTICAL_WGSL);
    assert_ne!(layout(&parsed(&moved), "Vertical").0, layout(&parsed(VERTICAL_WGSL), "Vertical").0);
    let broken = HORIZONTAL_WGSL.replacen("params.taps", "params.tips", 1);
    assert!(naga::front::wgsl::parse_str(&broken).is_err());
}

#[test]
fn every_shader_has_a_twin_of_its_name() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut seen = 0;
    for entry in std::fs::read_dir(format!("{root}/shaders")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wgsl") {
            let stage = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let twin = format!("{root}/src/pixels/cpu/{stage}.rs");
            assert!(std::fs::metadata(&twin).is_ok_and(|twin| twin.is_file()), "{twin} is missing");
            assert!(Stage::ALL.iter().any(|its| its.label().split('.').next() == Some(&stage)));
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}
