// Filters every row through a banded kernel along x. Twin: src/pixels/cpu/horizontal.rs.
//
// An invocation makes 4 neighbouring columns of 2 rows: they read nearly the same source pixels, so that a pixel is
// loaded and linearised once for 4 results, and the 4 weights of a source column serve both rows. The first stage of a job
// reads what was uploaded, in whichever form: converting is part of it.

// The form of the source, a constant of each pipeline: 0 16-bit floats, 1 RGBA, 2 RGB, 3 grey, 4 planes.
override SOURCE: u32 = 0u;

struct Horizontal {
    // Pixels of a source row.
    source_width: u32,
    // Pixels of a result row.
    target_width: u32,
    // Rows of both.
    height: u32,
    // Source pixels a block of 4 results reads.
    taps: u32,
    // The row of the whole picture that row 0 is. This and all below: planes only.
    first_row: u32,
    // The row of the whole chroma planes that their row 0 is.
    first_chroma_row: u32,
    // Samples of a row of a whole chroma plane.
    chroma_width: u32,
    // Rows of a whole chroma plane.
    chroma_height: u32,
    // The byte where the blue-difference plane begins.
    blue_start: u32,
    // The byte where the red-difference plane begins.
    red_start: u32,
    // 1: half the columns, 2: half the rows, 4: samples on the left one of two columns.
    sampling: u32,
    // Keeps the size a multiple of 16 bytes.
    unused: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
// A block of 4 columns. x: its first source pixel, y: the index of its first weights.
@group(0) @binding(2) var<storage, read> blocks: array<vec2<u32>>;
// The weights of one source pixel in each of the 4 results.
@group(0) @binding(3) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> params: Horizontal;

fn byte_at(at: u32) -> u32 {
    return (source[at >> 2u] >> (8u * (at & 3u))) & 0xffu;
}

fn chroma_at(start: u32, rows: vec4<u32>, columns: vec4<u32>) -> u32 {
    let near = start + (rows.x - params.first_chroma_row) * params.chroma_width;
    let far = start + (rows.y - params.first_chroma_row) * params.chroma_width;
    let upper = columns.z * byte_at(near + columns.x) + columns.w * byte_at(near + columns.y);
    let lower = columns.z * byte_at(far + columns.x) + columns.w * byte_at(far + columns.y);
    return (rows.z * upper + rows.w * lower + 8u) >> 4u;
}

fn planar_at(x: u32, y: u32) -> u32 {
    let half_width = (params.sampling & 1u) != 0u;
    let half_height = (params.sampling & 2u) != 0u;
    let left = (params.sampling & 4u) != 0u;
    let rows = near_far(params.first_row + y, half_height, false, params.chroma_height);
    let columns = near_far(x, half_width, left, params.chroma_width);
    let luma = byte_at(y * params.source_width + x);
    return code_from_ycbcr(luma, chroma_at(params.blue_start, rows, columns), chroma_at(params.red_start, rows, columns));
}

// Linear light, premultiplied.
fn load(x: u32, y: u32) -> vec4<f32> {
    let at = y * params.source_width + x;
    if SOURCE == 1u {
        return light_from_code(source[at]);
    }
    if SOURCE == 2u {
        // 3 bytes, in one word or in two.
        let byte = 3u * at;
        let shift = 8u * (byte & 3u);
        let low = source[byte >> 2u] >> shift;
        let high = select(source[(byte >> 2u) + 1u] << (32u - shift), 0u, shift == 0u);
        return light_from_code(low | high | 0xff000000u);
    }
    if SOURCE == 3u {
        return light_from_code(byte_at(at) * 0x010101u | 0xff000000u);
    }
    if SOURCE == 4u {
        return light_from_code(planar_at(x, y));
    }
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

// A row past the last is the last again and is not stored.
@compute @workgroup_size(64, 1, 1)
fn horizontal(@builtin(global_invocation_id) id: vec3<u32>) {
    if 4u * id.x >= params.target_width {
        return;
    }
    let block = blocks[id.x];
    let y = 2u * id.y;
    let below = min(y + 1u, params.height - 1u);
    var top = Four();
    var bottom = Four();
    for (var tap = 0u; tap < params.taps; tap++) {
        let weight = weights[block.y + tap];
        top = added(top, weight, load(block.x + tap, y));
        bottom = added(bottom, weight, load(block.x + tap, below));
    }
    store_row(id.x, y, top);
    store_row(id.x, y + 1u, bottom);
}
