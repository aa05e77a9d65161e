// Planes of luma and chroma as a JPEG has them: ITU-R BT.601, full range, in integers. Twin: src/pixels/pixmap/ycbcr.rs.

// The two chroma samples under position `at` of a line, and their weights of 4: near, far, near's weight, far's. `halved`:
// the line has half the samples; `left`: they lie on every second position, not between two. Ends repeat.
fn near_far(at: u32, halved: bool, left: bool, len: u32) -> vec4<u32> {
    let last = len - 1u;
    if !halved {
        let near = min(at, last);
        return vec4<u32>(near, near, 4u, 0u);
    }
    let near = at / 2u;
    let after = (at & 1u) == 1u;
    if left {
        if after {
            return vec4<u32>(min(near, last), min(near + 1u, last), 2u, 2u);
        }
        return vec4<u32>(min(near, last), min(near, last), 4u, 0u);
    }
    var far = near + 1u;
    if !after {
        far = max(near, 1u) - 1u;
    }
    return vec4<u32>(min(near, last), min(far, last), 3u, 1u);
}

fn byte_from(value: i32) -> u32 {
    return u32(clamp(value, 0, 255));
}

// An opaque RGBA pixel, red in the low byte.
fn code_from_ycbcr(luma: u32, blue: u32, red: u32) -> u32 {
    let cb = i32(blue) - 128;
    let cr = i32(red) - 128;
    let y = (i32(luma) << 16u) + 32768;
    let r = byte_from((y + 91881 * cr) >> 16u);
    let g = byte_from((y - 22554 * cb - 46802 * cr) >> 16u);
    let b = byte_from((y + 116130 * cb) >> 16u);
    return r | (g << 8u) | (b << 16u) | 0xff000000u;
}

// Luma and both chroma of the sum of `1 << shift` pixels.
fn ycbcr_from_rgb(rgb: vec3<i32>, shift: u32) -> vec3<u32> {
    let half = 32768 << shift;
    let centre = ((128 << 16u) << shift) + half;
    let y = (19595 * rgb.r + 38470 * rgb.g + 7471 * rgb.b + half) >> (16u + shift);
    let cb = (-11059 * rgb.r - 21709 * rgb.g + 32768 * rgb.b + centre) >> (16u + shift);
    let cr = (32768 * rgb.r - 27439 * rgb.g - 5329 * rgb.b + centre) >> (16u + shift);
    return vec3<u32>(byte_from(y), byte_from(cb), byte_from(cr));
}
