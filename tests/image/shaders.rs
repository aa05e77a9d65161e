//! The joined shader modules: valid, laid out as the Rust structs, one twin each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy takes only test functions for tests; this is what they call"
)]

use std::mem::offset_of;

use glimt::pixels::colour::Space;
use glimt::pixels::gpu::params::{Chroma, Colour, Horizontal, Orient, Sharpen, Vertical};
use glimt::pixels::gpu::stages::{From, Stage, To};
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

const HORIZONTAL: &str = Stage::Horizontal(From::Half).source();
const VERTICAL: &str = Stage::Vertical(To::Half).source();

#[test]
fn every_stage_is_a_valid_entry_point_of_its_module() {
    for stage in Stage::ALL {
        let module = parsed(stage.source());
        let [entry] = &module.entry_points[..] else { panic!("{}: one entry point", stage.name()) };
        assert_eq!((entry.name.as_str(), entry.workgroup_size), (stage.name(), [64, 1, 1]));
        let constants: Vec<&str> = module.overrides.iter().filter_map(|(_, its)| its.name.as_deref()).collect();
        assert_eq!(constants, stage.constants().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
    // Forms have numbers of their own.
    for (name, forms) in [("horizontal", From::ALL.len()), ("vertical", 2), ("sharpen", 2), ("colour", 4)] {
        let stages = Stage::ALL.into_iter().filter(|stage| stage.name() == name);
        let mut numbers: Vec<Vec<u64>> =
            stages.map(|stage| stage.constants().into_iter().map(|(_, its)| its.to_bits()).collect()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), forms, "{name}");
    }
}

macro_rules! assert_layout {
    ($stage:expr, $ty:ident: $($field:ident),+) => {
        let (members, span) = layout(&parsed($stage.source()), stringify!($ty));
        assert_eq!(members, offsets!($ty: $($field),+));
        assert_eq!(span as usize, size_of::<$ty>());
        assert!(span % 16 == 0, "a uniform's size");
    };
}

#[test]
fn parameter_structs_have_the_shaders_layout() {
    assert_layout!(Stage::Horizontal(From::Half), Horizontal: source_width, target_width, height, taps, first_row,
        first_chroma_row, chroma_width, chroma_height, blue_start, red_start, sampling, unused);
    assert_layout!(Stage::Vertical(To::Half), Vertical: width, target_height, taps, unused);
    assert_layout!(Stage::Sharpen(To::Half), Sharpen: width, height, original_width, original_start, amount, unused_a,
        unused_b, unused_c);
    assert_layout!(Stage::Colour(To::Half, Space::Linear), Colour: red, green, blue, width, height, unused_a, unused_b);
    assert_layout!(Stage::Orient, Orient: width, height, target_width, turn);
    assert_layout!(Stage::Chroma, Chroma: width, height, luma_words, chroma_words, row_words, unused_a, unused_b, unused_c);
    // A row is a vec2<u32>: first, then offset.
    assert_eq!((size_of::<Row>(), offset_of!(Row, first), offset_of!(Row, offset)), (8, 0, 4));
}

#[test]
fn the_layout_check_sees_a_moved_member_and_the_validator_a_broken_shader() {
    let moved = VERTICAL.replacen("    width: u32,", "    padding: u32,\n    width: u32,", 1);
    assert_ne!(moved, VERTICAL);
    assert_ne!(layout(&parsed(&moved), "Vertical").0, layout(&parsed(VERTICAL), "Vertical").0);
    let broken = HORIZONTAL.replacen("params.taps", "params.tips", 1);
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
            assert!(Stage::ALL.iter().any(|its| its.name() == stage));
            seen += 1;
        }
    }
    assert_eq!(seen, 6);
}
