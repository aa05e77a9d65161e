// A finished opaque picture as planes of 4:2:0. Twin: src/pixels/cpu/chroma.rs.
//
// An invocation makes a word of one plane: 4 samples, which may be of two rows. Each plane begins at a whole word.

struct Chroma {
    // Pixels of a row.
    width: u32,
    // Rows.
    height: u32,
    // Words of the luma plane.
    luma_words: u32,
    // Words of a chroma plane.
    chroma_words: u32,
    // Words a row of invocations makes.
    row_words: u32,
    // Keep the size a multiple of 16 bytes.
    unused_a: u32,
    unused_b: u32,
    unused_c: u32,
}

// RGBA.
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@group(0) @binding(4) var<uniform> params: Chroma;

fn pixel(x: u32, y: u32) -> vec3<i32> {
    let word = source[min(y, params.height - 1u) * params.width + min(x, params.width - 1u)];
    return vec3<i32>(i32(word & 0xffu), i32((word >> 8u) & 0xffu), i32((word >> 16u) & 0xffu));
}

fn luma(at: u32) -> u32 {
    return ycbcr_from_rgb(pixel(at % params.width, at / params.width), 0u).x;
}

fn difference(at: u32) -> vec3<u32> {
    let chroma_width = (params.width + 1u) / 2u;
    let x = 2u * (at % chroma_width);
    let y = 2u * (at / chroma_width);
    return ycbcr_from_rgb(pixel(x, y) + pixel(x + 1u, y) + pixel(x, y + 1u) + pixel(x + 1u, y + 1u), 2u);
}

@compute @workgroup_size(64, 1, 1)
fn chroma(@builtin(global_invocation_id) id: vec3<u32>) {
    let word = id.y * params.row_words + id.x;
    if id.x >= params.row_words || word >= params.luma_words + 2u * params.chroma_words {
        return;
    }
    var bytes = 0u;
    for (var byte = 0u; byte < 4u; byte++) {
        var sample = 0u;
        if word < params.luma_words {
            sample = luma(4u * word + byte);
        } else if word < params.luma_words + params.chroma_words {
            sample = difference(4u * (word - params.luma_words) + byte).y;
        } else {
            sample = difference(4u * (word - params.luma_words - params.chroma_words) + byte).z;
        }
        bytes |= sample << (8u * byte);
    }
    result[word] = bytes;
}
