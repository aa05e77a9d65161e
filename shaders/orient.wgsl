// Turns and mirrors a finished picture. Twin: src/pixels/cpu/orient.rs.

struct Orient {
    // Pixels of a row as stored.
    width: u32,
    // Rows as stored.
    height: u32,
    // Pixels of a row of the result.
    target_width: u32,
    // 1: sides swapped, 2: read from the stored picture's right edge, 4: from its bottom edge.
    turn: u32,
}

// RGBA.
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@group(0) @binding(4) var<uniform> params: Orient;

@compute @workgroup_size(64, 1, 1)
fn orient(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.target_width {
        return;
    }
    var place = id.xy;
    if (params.turn & 1u) != 0u {
        place = id.yx;
    }
    if (params.turn & 2u) != 0u {
        place.x = params.width - 1u - place.x;
    }
    if (params.turn & 4u) != 0u {
        place.y = params.height - 1u - place.y;
    }
    result[id.y * params.target_width + id.x] = source[place.y * params.width + place.x];
}
