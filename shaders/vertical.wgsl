// Filters every column through a banded kernel along y. Twin: src/pixels/cpu/vertical.rs.
//
// An invocation makes 4 pixels of one row, 64 apart, so that a weight is read once for 4 pixels and a workgroup's
// reads and writes lie together.

struct Vertical {
    // Pixels of a row of both.
    width: u32,
    // Rows of the result.
    target_height: u32,
    // Source rows a result row reads.
    taps: u32,
    // Keeps the size a multiple of 16 bytes.
    unused: u32,
}

const STEP: u32 = 64u;

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
// x: first source row, y: index of the first weight.
@group(0) @binding(2) var<storage, read> rows: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> linear_from_code: array<f32, 256>;
@group(0) @binding(5) var<uniform> params: Vertical;

struct Four {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn load_half(at: u32) -> vec4<f32> {
    return light_from_half(vec2<u32>(source[2u * at], source[2u * at + 1u]));
}

// Pixels x, x + 64, x + 128, x + 192 of row y; past the end of the row the last pixel again, which is not stored.
fn filtered(x: u32, y: u32) -> Four {
    let columns = min(vec4<u32>(x, x + STEP, x + 2u * STEP, x + 3u * STEP), vec4<u32>(params.width - 1u));
    let row = rows[y];
    var at = columns + row.x * params.width;
    var sums = Four();
    for (var tap = 0u; tap < params.taps; tap++) {
        let weight = weights[row.y + tap];
        sums.a += weight * load_half(at.x);
        sums.b += weight * load_half(at.y);
        sums.c += weight * load_half(at.z);
        sums.d += weight * load_half(at.w);
        at += params.width;
    }
    return sums;
}

fn store_half(x: u32, y: u32, light: vec4<f32>) {
    if x < params.width {
        let at = 2u * (y * params.width + x);
        let words = half_from_light(light);
        result[at] = words.x;
        result[at + 1u] = words.y;
    }
}

fn store_code(x: u32, y: u32, light: vec4<f32>) {
    if x < params.width {
        result[y * params.width + x] = code_from_light(light);
    }
}

// A stage with more to come: writes 16-bit floats.
@compute @workgroup_size(64, 1, 1)
fn middle(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let x = group.x * 4u * STEP + local.x;
    let y = group.y;
    let sums = filtered(x, y);
    store_half(x, y, sums.a);
    store_half(x + STEP, y, sums.b);
    store_half(x + 2u * STEP, y, sums.c);
    store_half(x + 3u * STEP, y, sums.d);
}

// The last stage of a job: writes 8-bit sRGB.
@compute @workgroup_size(64, 1, 1)
fn last(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let x = group.x * 4u * STEP + local.x;
    let y = group.y;
    let sums = filtered(x, y);
    store_code(x, y, sums.a);
    store_code(x + STEP, y, sums.b);
    store_code(x + 2u * STEP, y, sums.c);
    store_code(x + 3u * STEP, y, sums.d);
}
