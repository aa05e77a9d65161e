// Filters every column through a banded kernel along y. Twin: src/pixels/cpu/vertical.rs.
//
// An invocation makes 4 neighbouring rows of one column: they read nearly the same source rows, so that a pixel is
// loaded once for 4 results. Neighbours in a workgroup make neighbouring columns.

struct Vertical {
    // Pixels of a row of both.
    width: u32,
    // Rows of the result.
    target_height: u32,
    // Source rows a block of 4 results reads.
    taps: u32,
    // Keeps the size a multiple of 16 bytes.
    unused: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
// A block of 4 rows. x: its first source row, y: the index of its first weights.
@group(0) @binding(2) var<storage, read> blocks: array<vec2<u32>>;
// The weights of one source row in each of the 4 results.
@group(0) @binding(3) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> params: Vertical;

fn filtered(x: u32, block_index: u32) -> Four {
    let block = blocks[block_index];
    var at = 2u * (block.x * params.width + x);
    var sums = Four();
    for (var tap = 0u; tap < params.taps; tap++) {
        let light = light_from_half(vec2<u32>(source[at], source[at + 1u]));
        sums = added(sums, weights[block.y + tap], light);
        at += 2u * params.width;
    }
    return sums;
}

fn store_half(x: u32, y: u32, light: vec4<f32>) {
    if y < params.target_height {
        let at = 2u * (y * params.width + x);
        let words = half_from_light(light);
        result[at] = words.x;
        result[at + 1u] = words.y;
    }
}

fn store_code(x: u32, y: u32, light: vec4<f32>) {
    if y < params.target_height {
        result[y * params.width + x] = code_from_light(light);
    }
}

// A stage with more to come: writes 16-bit floats.
@compute @workgroup_size(64, 1, 1)
fn middle(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.width {
        return;
    }
    let four = filtered(id.x, id.y);
    let y = 4u * id.y;
    store_half(id.x, y, four.a);
    store_half(id.x, y + 1u, four.b);
    store_half(id.x, y + 2u, four.c);
    store_half(id.x, y + 3u, four.d);
}

// The last stage of a job: writes 8-bit sRGB.
@compute @workgroup_size(64, 1, 1)
fn last(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.width {
        return;
    }
    let four = filtered(id.x, id.y);
    let y = 4u * id.y;
    store_code(id.x, y, four.a);
    store_code(id.x, y + 1u, four.b);
    store_code(id.x, y + 2u, four.c);
    store_code(id.x, y + 3u, four.d);
}
