// Every pixel through a matrix of its colours. Twin: src/pixels/cpu/colour.rs.

// The form of the result, a constant of each pipeline: 0 16-bit floats, 1 RGBA.
override RESULT: u32 = 0u;
// The space of the values, a constant too: 0 linear light, 1 sRGB-encoded, clamped before and after. Not a parameter, because
// lavapipe (Mesa 22.3) compiles a shader that branches on a parameter anew for each dispatch, and keeps them all.
override ENCODED: u32 = 0u;

struct Colour {
    // Factors of red, green and blue, and what is added, for each of them.
    red: vec4<f32>,
    green: vec4<f32>,
    blue: vec4<f32>,
    // Pixels of a row.
    width: u32,
    // Rows.
    height: u32,
    // Keep the size a multiple of 16 bytes.
    unused_a: u32,
    unused_b: u32,
}

// 16-bit floats.
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@group(0) @binding(4) var<uniform> params: Colour;

fn multiplied(colour: vec3<f32>) -> vec3<f32> {
    let one = vec4<f32>(colour, 1.0);
    return vec3<f32>(dot(params.red, one), dot(params.green, one), dot(params.blue, one));
}

fn changed(light: vec4<f32>) -> vec4<f32> {
    if light.a <= 0.0 {
        return vec4<f32>(0.0, 0.0, 0.0, light.a);
    }
    let straight = light.rgb / light.a;
    if ENCODED == 0u {
        return vec4<f32>(multiplied(straight) * light.a, light.a);
    }
    let none = vec3<f32>(0.0);
    let all = vec3<f32>(1.0);
    let encoded = multiplied(srgb_from_linear(clamp(straight, none, all)));
    return vec4<f32>(linear_from_srgb(clamp(encoded, none, all)) * light.a, light.a);
}

@compute @workgroup_size(64, 1, 1)
fn colour(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.width {
        return;
    }
    let at = id.y * params.width + id.x;
    let light = changed(light_from_half(vec2<u32>(source[2u * at], source[2u * at + 1u])));
    if RESULT == 1u {
        result[at] = code_from_light(light);
    } else {
        let words = half_from_light(light);
        result[2u * at] = words.x;
        result[2u * at + 1u] = words.y;
    }
}
