//! Looking at a picture: the engine reduces and blurs it, and what is left is counted.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use quantette::{
    PaletteSize, Pipeline,
    color_space::srgb8_to_oklab,
    deps::palette::{Oklab, Srgb},
};

use crate::{
    codec::Decoded,
    domain::{Looks, Saliency},
    pixels::{Engines, Layout, Op, Picture, Pixmap, Plan, PlanLimits, Size, Stop, exec},
    service::ServiceError,
};

/// The longer side of what is looked at, in pixels.
pub(super) const SIDE_PX: u32 = 64;

/// The standard deviation of the surroundings that a pixel is held against, in pixels of what is looked at.
const SURROUNDINGS_PX: f32 = 12.0;

/// Below this a pixel is not there.
const SEEN_ALPHA: u8 = 64;

/// What is looked at: sRGB-encoded RGBA with straight alpha, rows from the top.
struct Small {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 4]>,
}

/// What a decoded picture looks like, upright. The engine makes two small pictures of it in one go: itself, and its surroundings.
///
/// # Errors
/// Of plan and engine.
pub(in super::super) fn see(decoded: &Decoded, engines: &Engines, stop: &Stop) -> Result<Looks, ServiceError> {
    let Decoded { picture, orientation, .. } = decoded;
    let size = match picture {
        Picture::Packed(pixmap) => Size::new(pixmap.width(), pixmap.height()),
        Picture::Planar(planes) => Size::new(planes.width(), planes.height()),
    };
    let small = [Op::Orient(*orientation), Op::fit(SIDE_PX)];
    let around = [Op::Orient(*orientation), Op::fit(SIDE_PX), Op::Blur { sigma: SURROUNDINGS_PX }];
    // The limits were kept by whoever decoded it: this makes next to nothing of it.
    let limits = PlanLimits { max_bytes: u64::MAX, max_multiply_adds: u64::MAX, ..PlanLimits::default() };
    let plan = Plan::many(&[&small, &around], size, &limits)?;
    let mut made = exec::run_all(&plan, picture.into(), engines, stop)?.into_iter();
    let (Some(small), Some(around)) = (made.next(), made.next()) else { return Err(ServiceError::Panicked) };
    let [small, around] =
        [small, around].map(|picture| picture.into_pixmap().map_err(|_broken| ServiceError::Panicked));
    Ok(looks(&Small::of(&small?), &Small::of(&around?)))
}

impl Small {
    fn of(pixmap: &Pixmap) -> Self {
        let data = pixmap.data();
        let pixels = match pixmap.layout() {
            Layout::Luma => data.iter().map(|&level| [level, level, level, 255]).collect(),
            Layout::LumaAlpha => {
                data.as_chunks::<2>().0.iter().map(|&[level, alpha]| [level, level, level, alpha]).collect()
            }
            Layout::Rgb => data.as_chunks::<3>().0.iter().map(|&[red, green, blue]| [red, green, blue, 255]).collect(),
            Layout::Rgba => data.as_chunks::<4>().0.to_vec(),
        };
        let side = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
        Self { width: side(pixmap.width()), height: side(pixmap.height()), pixels }
    }

    /// The colours, laid on white.
    fn on_white(&self) -> Vec<[u8; 3]> {
        let laid = |sample: u8, alpha: u8| {
            let sum = u32::from(sample) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127;
            u8::try_from(sum / 255).unwrap_or(255)
        };
        self.pixels
            .iter()
            .map(|&[red, green, blue, alpha]| [red, green, blue].map(|sample| laid(sample, alpha)))
            .collect()
    }
}

fn looks(small: &Small, around: &Small) -> Looks {
    let colours = colours(small);
    let dominant = colours.first().copied().unwrap_or([255; 3]);
    Looks {
        blurhash: blurhash(small),
        thumbhash: STANDARD.encode(thumbhash::rgba_to_thumb_hash(
            small.width,
            small.height,
            small.pixels.as_flattened(),
        )),
        dominant,
        palette: colours,
        opaque: small.pixels.iter().all(|[.., alpha]| *alpha == 255),
        saliency: saliency(small, around),
    }
}

/// A BlurHash of 4 by 3 components, or 3 by 4.
fn blurhash(small: &Small) -> String {
    let (across, down) = if small.width >= small.height { (4, 3) } else { (3, 4) };
    let opaque: Vec<[u8; 4]> = small.on_white().into_iter().map(|[red, green, blue]| [red, green, blue, 255]).collect();
    let side = |side: usize| u32::try_from(side).unwrap_or(0);
    // It refuses numbers of components that these are not.
    blurhash::encode(across, down, side(small.width), side(small.height), opaque.as_flattened()).unwrap_or_default()
}

/// The colours that there are most of, the most frequent first; none where nothing can be seen.
fn colours(small: &Small) -> Vec<[u8; 3]> {
    let seen = small.pixels.iter().filter(|[.., alpha]| *alpha >= SEEN_ALPHA);
    let seen: Vec<Srgb<u8>> = seen.map(|&[red, green, blue, _]| Srgb::new(red, green, blue)).collect();
    let count = u8::try_from(Looks::COLOURS).unwrap_or(u8::MAX);
    let pipeline = Pipeline::new().palette_size(PaletteSize::from_u8_clamped(count));
    let Ok(pipeline) = pipeline.input_slice(&seen) else { return Vec::new() };
    let (palette, counts) = pipeline.output_srgb8_palette_and_counts();
    let mut colours: Vec<(u32, [u8; 3])> = counts
        .iter()
        .zip(palette.iter())
        .filter(|(count, _)| **count > 0)
        .map(|(count, colour)| (*count, [colour.red, colour.green, colour.blue]))
        .collect();
    // As frequent: by colour, so that the order does not hang on anything else.
    colours.sort_by_key(|(count, colour)| (std::cmp::Reverse(*count), *colour));
    colours.into_iter().map(|(_, colour)| colour).collect()
}

/// Where the eye goes: to what differs from its surroundings in Oklab (after Achanta, Hemami, Estrada and Süsstrunk, "Frequency-tuned
/// Salient Region Detection", 2009, with surroundings for the mean), to strong colours, and to skin.
fn saliency(small: &Small, around: &Small) -> Saliency {
    let oklab = |of: &Small| {
        let colours: Vec<Srgb<u8>> =
            of.on_white().into_iter().map(|[red, green, blue]| Srgb::new(red, green, blue)).collect();
        srgb8_to_oklab(&colours)
    };
    let worth: Vec<f32> =
        oklab(small).into_iter().zip(oklab(around)).map(|(here, around)| worth(here, around)).collect();
    let (columns, rows) = grid(small.width, small.height);
    let mut sums = vec![0.0_f32; columns * rows];
    let mut counts = vec![0.0_f32; columns * rows];
    for (at, worth) in worth.iter().enumerate() {
        let (x, y) = (at % small.width.max(1), at / small.width.max(1));
        let cell = y * rows / small.height.max(1) * columns + x * columns / small.width.max(1);
        if let (Some(sum), Some(count)) = (sums.get_mut(cell), counts.get_mut(cell)) {
            *sum += worth;
            *count += 1.0;
        }
    }
    let means: Vec<f32> = sums.iter().zip(&counts).map(|(sum, count)| sum / count.max(1.0)).collect();
    let most = means.iter().copied().fold(0.0_f32, f32::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
    let cell = |mean: &f32| if most > 1e-3 { (mean / most * 255.0).round() as u8 } else { 0 };
    Saliency::new(u8::try_from(columns).unwrap_or(Saliency::SIDE), &means.iter().map(cell).collect::<Vec<u8>>())
}

/// How much there is to see in a pixel, about 0 to 1.
fn worth(here: Oklab, around: Oklab) -> f32 {
    let apart = [here.l - around.l, here.a - around.a, here.b - around.b];
    let apart = apart.iter().map(|by| by * by).sum::<f32>().sqrt();
    let chroma = here.a.hypot(here.b);
    // Skin of all kinds lies in a narrow fan of hues: what differs is how light it is.
    let hue = here.b.atan2(here.a).to_degrees();
    let is_skin = (25.0..=75.0).contains(&hue) && (0.03..=0.16).contains(&chroma) && (0.3..=0.9).contains(&here.l);
    apart + 0.3 * chroma + if is_skin { 0.08 } else { 0.0 }
}

/// The cells of a picture of this size, about as wide as high: across and down.
fn grid(width: usize, height: usize) -> (usize, usize) {
    let side = usize::from(Saliency::SIDE);
    let short = |short: usize, long: usize| {
        let rounded = (2 * side * short + long) / (2 * long.max(1));
        rounded.clamp(1, side).min(short.max(1))
    };
    if width >= height {
        (side.min(width.max(1)), short(height, width))
    } else {
        (short(width, height), side.min(height.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Scale,
        pixels::{Backend, EngineOptions, Orientation},
    };

    /// A picture of a colour, with a disc of another around this place.
    fn disc(width: u32, height: u32, middle: (u32, u32), radius: u32) -> Pixmap {
        let inside = |x: u32, y: u32| x.abs_diff(middle.0).pow(2) + y.abs_diff(middle.1).pow(2) < radius * radius;
        let colour = |x, y| if inside(x, y) { [230, 60, 20] } else { [90, 110, 130] };
        let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y))).collect();
        Pixmap::new(width, height, Layout::Rgb, data).unwrap()
    }

    fn seen(pixmap: Pixmap, orientation: Orientation) -> Looks {
        let engines = Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap();
        let whole = (pixmap.width(), pixmap.height());
        let decoded = Decoded { picture: Picture::Packed(pixmap), orientation, scale: Scale::Whole, whole };
        see(&decoded, &engines, &Stop::never()).unwrap()
    }

    /// The row and the column of the cell with most to see.
    fn busiest(looks: &Looks) -> (usize, usize) {
        let rows = looks.saliency.rows();
        let cells =
            rows.iter().enumerate().flat_map(|(y, row)| row.iter().enumerate().map(move |(x, cell)| (*cell, y, x)));
        cells.max().map(|(_, y, x)| (y, x)).unwrap()
    }

    #[test]
    fn the_eye_goes_to_what_differs() {
        let looks = seen(disc(480, 320, (400, 80), 50), Orientation::UPRIGHT);
        let rows = looks.saliency.rows();
        assert_eq!((rows.len(), rows[0].len()), (8, 12));
        let (y, x) = busiest(&looks);
        assert!((1..=3).contains(&y) && (8..=11).contains(&x), "{y} {x}");
        // Turned clockwise, the top right is at the bottom right.
        let looks = seen(disc(480, 320, (400, 80), 50), Orientation::ROTATE_90);
        let (y, x) = busiest(&looks);
        assert!((8..=11).contains(&y) && (4..=7).contains(&x), "{y} {x}");
    }

    #[test]
    fn colours_come_by_how_much_there_is_of_them() {
        let looks = seen(disc(480, 320, (240, 160), 60), Orientation::UPRIGHT);
        let near = |one: [u8; 3], other: [u8; 3]| one.iter().zip(other).all(|(one, other)| one.abs_diff(other) < 12);
        assert!(near(looks.dominant, [90, 110, 130]), "{:?}", looks.dominant);
        assert!(looks.palette.iter().any(|colour| near(*colour, [230, 60, 20])), "{:?}", looks.palette);
        assert!(looks.palette.len() <= Looks::COLOURS && looks.opaque);
    }

    #[test]
    fn placeholders_show_the_picture() {
        let looks = seen(disc(480, 320, (480, 160), 160), Orientation::UPRIGHT);
        assert_eq!(looks.blurhash.len(), 28);
        let small = blurhash::decode(&looks.blurhash, 12, 8, 1.0).unwrap();
        let red = |x: usize, y: usize| small[(y * 12 + x) * 4];
        assert!(red(11, 4) > red(1, 4) + 60, "{} {}", red(11, 4), red(1, 4));
        let hash = STANDARD.decode(&looks.thumbhash).unwrap();
        let (width, height, pixels) = thumbhash::thumb_hash_to_rgba(&hash).unwrap();
        assert!(width > height && pixels[4 * (height / 2 * width + width - 1)] > pixels[4 * (height / 2 * width)] + 60);
    }

    #[test]
    fn what_cannot_be_seen_has_no_colour() {
        let clear = Pixmap::new(3, 2, Layout::Rgba, vec![0; 24]).unwrap();
        let looks = seen(clear, Orientation::UPRIGHT);
        assert!(!looks.opaque && looks.palette.is_empty() && looks.dominant == [255; 3]);
        assert!(looks.saliency.rows().concat().iter().all(|cell| *cell == 0));
        for (width, height) in [(1, 1), (1, 100), (100, 1)] {
            let grey = Pixmap::new(width, height, Layout::Luma, vec![7; (width * height) as usize]).unwrap();
            let looks = seen(grey, Orientation::UPRIGHT);
            assert!(looks.opaque && !looks.blurhash.is_empty());
            assert_eq!(looks.palette.first(), Some(&looks.dominant));
        }
    }
}
