// The unsharp mask: what a blur took away, added again. Twin: src/pixels/cpu/sharpen.rs.

// The form of the result, a constant of each pipeline: 0 16-bit floats, 1 RGBA.
override RESULT: u32 = 0u;

struct Sharpen {
    // Pixels of a row of the result, and of the blurred picture.
    width: u32,
    // Rows of both.
    height: u32,
    // Pixels of a row of the original.
    original_width: u32,
    // The pixel of the original that the first of the result is made of.
    original_start: u32,
    // How much of the difference is added.
    amount: f32,
    // Keep the size a multiple of 16 bytes.
    unused_a: u32,
    unused_b: u32,
    unused_c: u32,
}

// The blurred picture, as 16-bit floats.
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
// The picture as it was, as 16-bit floats.
@group(0) @binding(2) var<storage, read> original: array<u32>;
@group(0) @binding(4) var<uniform> params: Sharpen;

@compute @workgroup_size(64, 1, 1)
fn sharpen(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.width {
        return;
    }
    let at = id.y * params.width + id.x;
    let read_at = 2u * (params.original_start + id.y * params.original_width + id.x);
    let was = light_from_half(vec2<u32>(original[read_at], original[read_at + 1u]));
    let blurred = light_from_half(vec2<u32>(source[2u * at], source[2u * at + 1u]));
    let light = was + params.amount * (was - blurred);
    if RESULT == 1u {
        result[at] = code_from_light(light);
    } else {
        let words = half_from_light(light);
        result[2u * at] = words.x;
        result[2u * at + 1u] = words.y;
    }
}
