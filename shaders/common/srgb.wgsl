// The sRGB transfer function (IEC 61966-2-1), linear light to encoded. The way back is a table of 256 values.
fn srgb_from_linear(linear: vec3<f32>) -> vec3<f32> {
    let low = 12.92 * linear;
    let high = 1.055 * pow(max(linear, vec3<f32>(0.0031308)), vec3<f32>(1.0 / 2.4)) - 0.055;
    return select(high, low, linear <= vec3<f32>(0.0031308));
}

// An 8-bit RGBA pixel, red in the low byte: from premultiplied linear light to straight sRGB, rounded once.
// A pixel whose alpha rounds to 0 is 0.
fn code_from_light(light: vec4<f32>) -> u32 {
    let opacity = u32(clamp(light.a, 0.0, 1.0) * 255.0 + 0.5);
    if opacity == 0u {
        return 0u;
    }
    let colour = clamp(light.rgb / light.a, vec3<f32>(0.0), vec3<f32>(1.0));
    let code = vec3<u32>(srgb_from_linear(colour) * 255.0 + 0.5);
    return code.r | (code.g << 8u) | (code.b << 16u) | (opacity << 24u);
}
