// Filters every row through a banded kernel along x. Twin: src/pixels/cpu/horizontal.rs.
//
// An invocation makes 4 neighbouring columns of 2 rows: they read nearly the same source pixels, so that a pixel is
// loaded and linearised once for 4 results, and the 4 weights of a source column serve both rows.

struct Horizontal {
    // Pixels of a source row.
    source_width: u32,
    // Pixels of a result row.
    target_width: u32,
    // Rows of both.
    height: u32,
    // Source pixels a block of 4 results reads.
    taps: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
// A block of 4 columns. x: its first source pixel, y: the index of its first weights.
@group(0) @binding(2) var<storage, read> blocks: array<vec2<u32>>;
// The weights of one source pixel in each of the 4 results.
@group(0) @binding(3) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> params: Horizontal;

fn load_half(at: u32) -> vec4<f32> {
    return light_from_half(vec2<u32>(source[2u * at], source[2u * at + 1u]));
}

fn store(x: u32, y: u32, light: vec4<f32>) {
    if x < params.target_width && y < params.height {
        let at = 2u * (y * params.target_width + x);
        let words = half_from_light(light);
        result[at] = words.x;
        result[at + 1u] = words.y;
    }
}

fn store_row(block: u32, y: u32, four: Four) {
    let x = 4u * block;
    store(x, y, four.a);
    store(x + 1u, y, four.b);
    store(x + 2u, y, four.c);
    store(x + 3u, y, four.d);
}

// The first stage of a job: reads 8-bit sRGB. A row past the last is the last again and is not stored.
@compute @workgroup_size(64, 1, 1)
fn first(@builtin(global_invocation_id) id: vec3<u32>) {
    if 4u * id.x >= params.target_width {
        return;
    }
    let block = blocks[id.x];
    let y = 2u * id.y;
    let upper = y * params.source_width + block.x;
    let lower = min(y + 1u, params.height - 1u) * params.source_width + block.x;
    var top = Four();
    var bottom = Four();
    for (var tap = 0u; tap < params.taps; tap++) {
        let weight = weights[block.y + tap];
        top = added(top, weight, light_from_code(source[upper + tap]));
        bottom = added(bottom, weight, light_from_code(source[lower + tap]));
    }
    store_row(id.x, y, top);
    store_row(id.x, y + 1u, bottom);
}

// A later stage: reads 16-bit floats.
@compute @workgroup_size(64, 1, 1)
fn middle(@builtin(global_invocation_id) id: vec3<u32>) {
    if 4u * id.x >= params.target_width {
        return;
    }
    let block = blocks[id.x];
    let y = 2u * id.y;
    let upper = y * params.source_width + block.x;
    let lower = min(y + 1u, params.height - 1u) * params.source_width + block.x;
    var top = Four();
    var bottom = Four();
    for (var tap = 0u; tap < params.taps; tap++) {
        let weight = weights[block.y + tap];
        top = added(top, weight, load_half(upper + tap));
        bottom = added(bottom, weight, load_half(lower + tap));
    }
    store_row(id.x, y, top);
    store_row(id.x, y + 1u, bottom);
}
