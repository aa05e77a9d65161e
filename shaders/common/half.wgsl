// Four channels in two words of two 16-bit floats each: how pixels lie between two dispatches.
fn light_from_half(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn half_from_light(light: vec4<f32>) -> vec2<u32> {
    return vec2<u32>(pack2x16float(light.rg), pack2x16float(light.ba));
}
