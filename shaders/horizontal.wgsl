// Filters every row through a banded kernel along x. Twin: src/pixels/cpu/horizontal.rs.
//
// An invocation makes one column of 4 rows, so that a weight is read once for 4 pixels; neighbours in a workgroup
// make neighbouring columns, so that reads and writes of a row lie together.

struct Horizontal {
    // Pixels of a source row.
    source_width: u32,
    // Pixels of a result row.
    target_width: u32,
    // Rows of both.
    height: u32,
    // Source pixels a result pixel reads.
    taps: u32,
}

const ROWS: u32 = 4u;

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
// x: first source pixel, y: index of the first weight.
@group(0) @binding(2) var<storage, read> rows: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> linear_from_code: array<f32, 256>;
@group(0) @binding(5) var<uniform> params: Horizontal;

// One 8-bit sRGB pixel with straight alpha, as premultiplied linear light.
fn light_from_code(word: u32) -> vec4<f32> {
    let alpha = f32(word >> 24u) / 255.0;
    let colour = vec3<f32>(
        linear_from_code[word & 255u],
        linear_from_code[(word >> 8u) & 255u],
        linear_from_code[(word >> 16u) & 255u],
    );
    return vec4<f32>(colour * alpha, alpha);
}

fn load_half(at: u32) -> vec4<f32> {
    return light_from_half(vec2<u32>(source[2u * at], source[2u * at + 1u]));
}

// Where each of the 4 source rows starts; rows past the last are the last again and are not stored.
fn row_starts(y: u32) -> vec4<u32> {
    let last = params.height - 1u;
    return min(vec4<u32>(y, y + 1u, y + 2u, y + 3u), vec4<u32>(last)) * params.source_width;
}

fn store(x: u32, y: u32, light: vec4<f32>) {
    if y < params.height {
        let at = 2u * (y * params.target_width + x);
        let words = half_from_light(light);
        result[at] = words.x;
        result[at + 1u] = words.y;
    }
}

// The first stage of a job: reads 8-bit sRGB.
@compute @workgroup_size(64, 1, 1)
fn first(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x;
    let y = id.y * ROWS;
    if x >= params.target_width {
        return;
    }
    let row = rows[x];
    let starts = row_starts(y) + row.x;
    var a = vec4<f32>();
    var b = vec4<f32>();
    var c = vec4<f32>();
    var d = vec4<f32>();
    for (var tap = 0u; tap < params.taps; tap++) {
        let weight = weights[row.y + tap];
        a += weight * light_from_code(source[starts.x + tap]);
        b += weight * light_from_code(source[starts.y + tap]);
        c += weight * light_from_code(source[starts.z + tap]);
        d += weight * light_from_code(source[starts.w + tap]);
    }
    store(x, y, a);
    store(x, y + 1u, b);
    store(x, y + 2u, c);
    store(x, y + 3u, d);
}

// A later stage: reads 16-bit floats.
@compute @workgroup_size(64, 1, 1)
fn middle(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x;
    let y = id.y * ROWS;
    if x >= params.target_width {
        return;
    }
    let row = rows[x];
    let starts = row_starts(y) + row.x;
    var a = vec4<f32>();
    var b = vec4<f32>();
    var c = vec4<f32>();
    var d = vec4<f32>();
    for (var tap = 0u; tap < params.taps; tap++) {
        let weight = weights[row.y + tap];
        a += weight * load_half(starts.x + tap);
        b += weight * load_half(starts.y + tap);
        c += weight * load_half(starts.z + tap);
        d += weight * load_half(starts.w + tap);
    }
    store(x, y, a);
    store(x, y + 1u, b);
    store(x, y + 2u, c);
    store(x, y + 3u, d);
}
