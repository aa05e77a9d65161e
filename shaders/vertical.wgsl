// Filters every column through a banded kernel along y. Twin: src/pixels/cpu/vertical.rs.
//
// An invocation makes 4 neighbouring rows of one column: they read nearly the same source rows, so that a pixel is
// loaded once for 4 results. Neighbours in a workgroup make neighbouring columns.

// The form of the result, a constant of each pipeline: 0 16-bit floats, 1 RGBA.
override RESULT: u32 = 0u;

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

fn store(x: u32, y: u32, light: vec4<f32>) {
    if y >= params.target_height {
        return;
    }
    let at = y * params.width + x;
    if RESULT == 1u {
        result[at] = code_from_light(light);
    } else {
        let words = half_from_light(light);
        result[2u * at] = words.x;
        result[2u * at + 1u] = words.y;
    }
}

@compute @workgroup_size(64, 1, 1)
fn vertical(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.width {
        return;
    }
    let block = blocks[id.y];
    var at = 2u * (block.x * params.width + id.x);
    var four = Four();
    for (var tap = 0u; tap < params.taps; tap++) {
        let light = light_from_half(vec2<u32>(source[at], source[at + 1u]));
        four = added(four, weights[block.y + tap], light);
        at += 2u * params.width;
    }
    let y = 4u * id.y;
    store(id.x, y, four.a);
    store(id.x, y + 1u, four.b);
    store(id.x, y + 2u, four.c);
    store(id.x, y + 3u, four.d);
}
