// Four neighbouring results of a kernel, and one source pixel added to each with its own weight.
struct Four {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn added(sums: Four, weight: vec4<f32>, light: vec4<f32>) -> Four {
    return Four(
        sums.a + weight.x * light,
        sums.b + weight.y * light,
        sums.c + weight.z * light,
        sums.d + weight.w * light,
    );
}
