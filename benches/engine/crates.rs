//! The same work by the crates alone, one thread each.
//!
//! *In linear light*: to floats by table, premultiplied, `fast_image_resize` and `libblur` on `f32`, and back by table: what
//! the engines do. *On codes*: the sRGB codes filtered as they are, which is not what a picture should get, but the fastest
//! there is. *Newcomer*: `image::imageops`, on codes too. `libblur`'s true Gaussian is taken (on codes with fixed-point
//! weights, its faster way), with its kernel cut off at three standard deviations (the engines': four); its stack and box
//! blurs are something else, and its `avx512` feature needs a nightly compiler.

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Deref;

use fast_image_resize as fir;
use glimt::pixels::srgb::{CODE_FROM_LINEAR, LINEAR_FROM_CODE};
use glimt::pixels::{Layout, Op, Pixmap, Rect, Size, Target};
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma, Pixel, Rgb, Rgba};
use libblur::{
    BlurImage, BlurImageMut, ConvolutionMode, EdgeMode, EdgeMode2D, FastBlurChannels, GaussianBlurParams,
    IeeeBinaryConvolutionMode, ThreadingPolicy,
};

use crate::Outcome;

/// A sample of a channel that both crates filter.
trait Sample: bytemuck::Pod + Default + Debug {
    fn pixel_type(channels: usize) -> fir::PixelType;
    fn blur(source: &BlurImage<'_, Self>, target: &mut BlurImageMut<'_, Self>, sigma: f64) -> Outcome<()>;
    /// A sample and what differs from its blurred neighbourhood, once more.
    fn sharpened(self, blurred: Self) -> Self;
}

impl Sample for f32 {
    fn pixel_type(channels: usize) -> fir::PixelType {
        match channels {
            1 => fir::PixelType::F32,
            3 => fir::PixelType::F32x3,
            _ => fir::PixelType::F32x4,
        }
    }

    fn blur(source: &BlurImage<'_, Self>, target: &mut BlurImageMut<'_, Self>, sigma: f64) -> Outcome<()> {
        let normal = IeeeBinaryConvolutionMode::Normal;
        Ok(libblur::gaussian_blur_f32(source, target, gaussian(sigma), CLAMP, ThreadingPolicy::Single, normal)?)
    }

    fn sharpened(self, blurred: Self) -> Self {
        2.0 * self - blurred
    }
}

impl Sample for u8 {
    fn pixel_type(channels: usize) -> fir::PixelType {
        match channels {
            1 => fir::PixelType::U8,
            3 => fir::PixelType::U8x3,
            _ => fir::PixelType::U8x4,
        }
    }

    fn blur(source: &BlurImage<'_, Self>, target: &mut BlurImageMut<'_, Self>, sigma: f64) -> Outcome<()> {
        let fixed = ConvolutionMode::FixedPoint;
        Ok(libblur::gaussian_blur(source, target, gaussian(sigma), CLAMP, ThreadingPolicy::Single, fixed)?)
    }

    fn sharpened(self, blurred: Self) -> Self {
        let sum = (2 * i16::from(self) - i16::from(blurred)).clamp(0, 255);
        Self::try_from(sum).unwrap_or_default()
    }
}

const CLAMP: EdgeMode2D = EdgeMode2D::new(EdgeMode::Clamp);

fn gaussian(sigma: f64) -> GaussianBlurParams {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sigmas here are 1 to 20")]
    let reach = (3.0 * sigma).ceil() as u32;
    GaussianBlurParams::new(2 * reach + 1, sigma)
}

/// Samples of interleaved channels.
struct Samples<'a, T: Sample> {
    size: Size,
    channels: usize,
    data: Cow<'a, [T]>,
}

impl<T: Sample> Samples<'_, T> {
    fn like(&self, size: Size) -> Outcome<Samples<'static, T>> {
        let data = vec![T::default(); usize::try_from(size.pixels())? * self.channels];
        Ok(Samples { size, channels: self.channels, data: Cow::Owned(data) })
    }

    fn all(self, ops: &[Op]) -> Outcome<Self> {
        ops.iter().try_fold(self, |samples, op| match *op {
            Op::Resize { to, .. } => samples.resized(to),
            Op::Blur { sigma } => samples.blurred(sigma),
            Op::Sharpen { sigma, amount: 1.0 } => {
                let mut blurred = samples.blurred(sigma)?;
                for (blurred, &sample) in blurred.data.to_mut().iter_mut().zip(samples.data.iter()) {
                    *blurred = sample.sharpened(*blurred);
                }
                Ok(blurred)
            }
            Op::Orient(_) | Op::Crop(_) | Op::CropAspect { .. } | Op::Sharpen { .. } | Op::Colour(_) => {
                Err("no crate does this".into())
            }
        })
    }

    fn resized(&self, to: Target) -> Outcome<Samples<'static, T>> {
        let (kept, rect) = part(to, self.size);
        let mut target = self.like(kept)?;
        let pixel = T::pixel_type(self.channels);
        let (from, bytes) = (self.size, bytemuck::cast_slice(&self.data));
        let source = fir::images::ImageRef::new(from.width, from.height, bytes, pixel)?;
        let bytes = bytemuck::cast_slice_mut(target.data.to_mut());
        let mut image = fir::images::Image::from_slice_u8(kept.width, kept.height, bytes, pixel)?;
        let lanczos = fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3);
        // Floats are premultiplied already.
        let options = fir::ResizeOptions::new().resize_alg(lanczos).use_alpha(size_of::<T>() == 1);
        let [x, y, width, height] = rect;
        fir::Resizer::new().resize(&source, &mut image, &options.crop(x, y, width, height))?;
        Ok(target)
    }

    fn blurred(&self, sigma: f32) -> Outcome<Samples<'static, T>> {
        let mut target = self.like(self.size)?;
        let Size { width, height } = self.size;
        let channels = match self.channels {
            1 => FastBlurChannels::Plane,
            3 => FastBlurChannels::Channels3,
            _ => FastBlurChannels::Channels4,
        };
        let source = BlurImage::borrow(&self.data, width, height, channels);
        T::blur(&source, &mut BlurImageMut::borrow(target.data.to_mut(), width, height, channels), f64::from(sigma))?;
        Ok(target)
    }
}

/// The size that comes out of a resize, and the part of the source that it shows: left, top, width, height.
fn part(to: Target, from: Size) -> (Size, [f64; 4]) {
    let (resized, Rect { x, y, size }) = to.of(from);
    let across = f64::from(from.width) / f64::from(resized.width);
    let down = f64::from(from.height) / f64::from(resized.height);
    let edges = [f64::from(x) * across, f64::from(y) * down];
    let sides = [f64::from(size.width) * across, f64::from(size.height) * down];
    (size, [edges[0], edges[1], sides[0], sides[1]])
}

/// In linear light.
pub(crate) fn linear(image: &Pixmap, ops: &[Op]) -> Outcome<Vec<u8>> {
    let table: &[f32; 256] = &LINEAR_FROM_CODE;
    let light = |code: u8| table[usize::from(code)];
    let (channels, size) = (image.layout().channels(), Size::new(image.width(), image.height()));
    let has_alpha = image.layout() == Layout::Rgba;
    let data: Vec<f32> = if has_alpha {
        let (pixels, _) = image.data().as_chunks::<4>();
        let premultiplied = |&[r, g, b, a]: &[u8; 4]| {
            let alpha = f32::from(a) / 255.0;
            [light(r) * alpha, light(g) * alpha, light(b) * alpha, alpha]
        };
        pixels.iter().flat_map(premultiplied).collect()
    } else {
        image.data().iter().map(|&code| light(code)).collect()
    };
    let made = Samples { size, channels, data: Cow::Owned(data) }.all(ops)?.data;
    let codes = &*CODE_FROM_LINEAR;
    if !has_alpha {
        return Ok(made.iter().map(|&value| codes.encode(value)).collect());
    }
    let straight = |&[r, g, b, a]: &[f32; 4]| {
        let over = if a > 0.0 { 1.0 / a } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255.5 by the clamp")]
        let opacity = (a.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        if opacity == 0 {
            [0; 4]
        } else {
            [codes.encode(r * over), codes.encode(g * over), codes.encode(b * over), opacity]
        }
    };
    Ok(made.as_chunks::<4>().0.iter().flat_map(straight).collect())
}

/// On codes.
pub(crate) fn codes(image: &Pixmap, ops: &[Op]) -> Outcome<Vec<u8>> {
    let (channels, size) = (image.layout().channels(), Size::new(image.width(), image.height()));
    // The picture is read where it lies.
    let samples = Samples { size, channels, data: Cow::Borrowed(image.data()) };
    Ok(samples.all(ops)?.data.into_owned())
}

/// With what the `image` crate has.
pub(crate) fn newcomer(image: &Pixmap, ops: &[Op]) -> Outcome<Vec<u8>> {
    match image.layout() {
        Layout::Luma => of_pixels::<Luma<u8>>(image, ops),
        Layout::Rgb => of_pixels::<Rgb<u8>>(image, ops),
        Layout::Rgba => of_pixels::<Rgba<u8>>(image, ops),
        Layout::LumaAlpha => Err("not among those measured".into()),
    }
}

fn of_pixels<P: Pixel<Subpixel = u8> + 'static>(image: &Pixmap, ops: &[Op]) -> Outcome<Vec<u8>> {
    let whole: ImageBuffer<P, &[u8]> =
        ImageBuffer::from_raw(image.width(), image.height(), image.data()).ok_or("too few bytes")?;
    let [first, rest @ ..] = ops else { return Err("nothing to do".into()) };
    Ok(rest.iter().try_fold(imaged(&whole, first)?, |image, op| imaged(&image, op))?.into_raw())
}

fn imaged<P, C>(image: &ImageBuffer<P, C>, op: &Op) -> Outcome<ImageBuffer<P, Vec<u8>>>
where
    P: Pixel<Subpixel = u8> + 'static,
    C: Deref<Target = [u8]>,
{
    match *op {
        Op::Resize { to, .. } => {
            let (kept, rect) = part(to, Size::new(image.width(), image.height()));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside a picture")]
            let [x, y, width, height] = rect.map(|edge| edge.round() as u32);
            let part = imageops::crop_imm(image, x, y, width, height);
            Ok(imageops::resize(&*part, kept.width, kept.height, FilterType::Lanczos3))
        }
        Op::Blur { sigma } => Ok(imageops::blur(image, sigma)),
        Op::Sharpen { sigma, amount: 1.0 } => Ok(imageops::unsharpen(image, sigma, 0)),
        Op::Orient(_) | Op::Crop(_) | Op::CropAspect { .. } | Op::Sharpen { .. } | Op::Colour(_) => {
            Err("not among those measured".into())
        }
    }
}
