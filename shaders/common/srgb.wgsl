// The sRGB transfer function (IEC 61966-2-1), both ways.
fn srgb_from_linear(linear: vec3<f32>) -> vec3<f32> {
    let low = 12.92 * linear;
    let high = 1.055 * pow(max(linear, vec3<f32>(0.0031308)), vec3<f32>(1.0 / 2.4)) - 0.055;
    return select(high, low, linear <= vec3<f32>(0.0031308));
}

fn linear_from_srgb(encoded: vec3<f32>) -> vec3<f32> {
    let low = encoded / 12.92;
    let high = pow((encoded + 0.055) / 1.055, vec3<f32>(2.4));
    return select(high, low, encoded <= vec3<f32>(0.04045));
}

// An 8-bit RGBA pixel, red in the low byte, straight sRGB: as premultiplied linear light. Computed, not looked up: a
// table of 256 values costs a software adapter three loads a pixel, and those are what it is slowest at.
fn light_from_code(word: u32) -> vec4<f32> {
    let straight = unpack4x8unorm(word);
    return vec4<f32>(linear_from_srgb(straight.rgb) * straight.a, straight.a);
}

// The way back, rounded once. A pixel whose alpha rounds to 0 is 0.
fn code_from_light(light: vec4<f32>) -> u32 {
    let opacity = u32(clamp(light.a, 0.0, 1.0) * 255.0 + 0.5);
    if opacity == 0u {
        return 0u;
    }
    let colour = clamp(light.rgb / light.a, vec3<f32>(0.0), vec3<f32>(1.0));
    let code = vec3<u32>(srgb_from_linear(colour) * 255.0 + 0.5);
    return code.r | (code.g << 8u) | (code.b << 16u) | (opacity << 24u);
}
