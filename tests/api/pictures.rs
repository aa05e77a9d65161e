//! Pictures made on the spot, and the comparison of pictures.

use std::io::Cursor;

use image::{
    DynamicImage, Frame, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};

pub(crate) mod containers;
pub(crate) mod hostile;
pub(crate) mod metadata;

/// A picture with gradients, a texture and no symmetry: turned, flipped or shifted it is another picture. Different
/// seeds are different pictures.
pub(crate) fn photo(seed: u32, width: u32, height: u32) -> RgbImage {
    let phase = f64::from(seed) * 0.7;
    let (centre_x, centre_y) = (0.3 + 0.2 * phase.sin(), 0.3 + 0.2 * phase.cos());
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let wave = ((u * 9.0 + v * 4.0 + phase).sin() + 1.0) / 2.0;
        let disc = if (u - centre_x).hypot(v - centre_y) < 0.15 { 90.0 } else { 0.0 };
        Rgb([shade(60.0 + 150.0 * u + disc / 2.0), shade(40.0 + 170.0 * v), shade(50.0 + 110.0 * wave + disc)])
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
fn shade(value: f64) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

/// The photo as a JPEG of quality 90.
pub(crate) fn jpeg(seed: u32, width: u32, height: u32) -> Vec<u8> {
    jpeg_of(&photo(seed, width, height))
}

pub(crate) fn jpeg_of(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(picture).unwrap();
    bytes
}

/// The photo as a PNG.
pub(crate) fn png(seed: u32, width: u32, height: u32) -> Vec<u8> {
    encoded(&photo(seed, width, height).into(), ImageFormat::Png)
}

/// A picture of noise as a PNG: about three bytes a pixel, however it is compressed.
pub(crate) fn noise_png(seed: u32, side: u32) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 1;
    let picture = RgbImage::from_fn(side, side, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., a, b, c] = state.to_le_bytes();
        Rgb([a, b, c])
    });
    encoded(&picture.into(), ImageFormat::Png)
}

/// A picture in any format that the `image` crate writes (WebP: lossless).
pub(crate) fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn webp_lossy(picture: &RgbImage) -> Vec<u8> {
    webp::Encoder::from_rgb(picture, picture.width(), picture.height()).encode(85.0).to_vec()
}

/// A square whose left half is opaque blue and whose right half is invisible red.
pub(crate) fn half_invisible(side: u32) -> DynamicImage {
    let pixel = |x| if x < side / 2 { Rgba([0, 0, 200, 255]) } else { Rgba([255, 0, 0, 0]) };
    RgbaImage::from_fn(side, side, |x, _| pixel(x)).into()
}

/// Frames of one colour each.
fn plain_frames(colours: &[[u8; 3]], width: u32, height: u32) -> Vec<RgbaImage> {
    colours.iter().map(|&[r, g, b]| RgbaImage::from_pixel(width, height, Rgba([r, g, b, 255]))).collect()
}

/// A GIF that shows these colours one after the other, for ever.
pub(crate) fn animated_gif(colours: &[[u8; 3]], width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(Repeat::Infinite).unwrap();
    encoder.encode_frames(plain_frames(colours, width, height).into_iter().map(Frame::new)).unwrap();
    drop(encoder);
    bytes
}

/// A WebP that does the same.
pub(crate) fn animated_webp(colours: &[[u8; 3]], width: u32, height: u32) -> Vec<u8> {
    let frames = plain_frames(colours, width, height);
    let frames: Vec<_> = frames.into_iter().map(|frame| encoded(&frame.into(), ImageFormat::WebP)).collect();
    containers::animated_webp(&frames, width, height)
}

/// The picture that any decoder of the tests' own makes of these bytes, stored orientation not applied.
#[track_caller]
pub(crate) fn decoded(bytes: &[u8]) -> DynamicImage {
    image::load_from_memory(bytes).unwrap()
}

/// The picture as it is seen: decoded, and stood upright as its EXIF says.
#[track_caller]
pub(crate) fn seen(bytes: &[u8]) -> RgbImage {
    use image::{ImageDecoder, ImageReader};
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap().into_decoder().unwrap();
    let orientation = decoder.orientation().unwrap();
    let mut picture = DynamicImage::from_decoder(decoder).unwrap();
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

/// How alike two pictures of one size are, in dB; infinite when they are equal.
#[track_caller]
pub(crate) fn psnr(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let square = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b)).pow(2);
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(square).sum();
    let samples = f64::from(a.width()) * f64::from(a.height()) * 3.0;
    #[expect(clippy::cast_precision_loss, reason = "a picture of the tests has fewer than 2^37 samples")]
    let sum = sum as f64;
    10.0 * (255.0_f64.powi(2) / (sum / samples)).log10()
}

/// Fails unless the bytes decode to about `wanted`: no worse than `least` dB, as a lossy codec leaves it.
#[track_caller]
pub(crate) fn looks_like(bytes: &[u8], wanted: &RgbImage, least: f64) {
    let got = psnr(&decoded(bytes).into_rgb8(), wanted);
    assert!(got >= least, "{got:.1} dB where {least} are owed");
}

#[test]
fn another_picture_does_not_look_like_this_one() {
    let this = photo(1, 64, 48);
    let bytes = jpeg_of(&this);
    assert!(psnr(&decoded(&bytes).into_rgb8(), &this) > 30.0);
    let others = [
        photo(2, 64, 48),
        image::imageops::flip_horizontal(&this),
        image::imageops::flip_vertical(&this),
        image::imageops::rotate180(&this),
    ];
    for (index, other) in others.iter().enumerate() {
        let got = psnr(other, &this);
        assert!(got < 24.0, "picture {index} is {got:.1} dB like another");
    }
    let mut swapped = this.clone();
    swapped.pixels_mut().for_each(|pixel| pixel.0.reverse());
    assert!(psnr(&swapped, &this) < 24.0);
    assert!(psnr(&this, &this).is_infinite());
}
