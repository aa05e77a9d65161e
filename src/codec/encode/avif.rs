//! AVIF: AV1 by rav1e on the thread of its caller, in the container of `avif-serialize`. 8 bits, full range, sRGB by the matrix of
//! BT.601: what a JPEG holds, so that planes made for one do for both.

use avif_serialize::{Aviffy, constants};
use rav1e::color::{ColorDescription, ColorPrimaries, MatrixCoefficients, TransferCharacteristics};
use rav1e::prelude::{
    BlockSize, ChromaSampling, Config, Context, EncoderConfig, EncoderStatus, PartitionRange, PixelRange,
    PredictionModesSetting, SceneDetectionSpeed, SpeedSettings,
};

use super::{check_side, chroma, failure};
use crate::codec::error::CodecError;
use crate::domain::{Chroma, Effort, Quality, Settings};
use crate::pixels::pixmap::{Sampling, Ycbcr};
use crate::pixels::{Layout, Pixmap};

const NAME: &str = "AVIF";

/// The longest side that the encoder takes.
pub(super) const SIDE: u32 = 65_535;

/// AV1's quantizer, 0 to 255, at these qualities, linear in between: the scores of SSIMULACRA 2 are those of a 4:2:0 JPEG at the
/// same number, measured at 60, 70, 80 and 90 on photos of 256 px.
const QUANTIZERS: [(i32, i32); 8] =
    [(1, 255), (30, 186), (50, 155), (60, 138), (70, 122), (80, 100), (90, 62), (100, 4)];

fn quantizer(quality: Quality) -> u8 {
    let quality = i32::from(quality.get());
    let mut pairs = QUANTIZERS.iter().zip(QUANTIZERS.iter().skip(1));
    let between = pairs.find(|(_, (upper, _))| quality <= *upper);
    // No quality is over the last of them.
    let Some(((low, most), (high, least))) = between else { return 0 };
    let value = most + (least - most) * (quality - low) / (high - low);
    u8::try_from(value.clamp(0, 255)).unwrap_or(0)
}

/// A plane and the samples in its rows.
type Plane<'a> = (&'a [u8], u32);

/// Grey has chroma that says nothing: a file of one plane is where readers differ. Alpha that says nothing is left out.
pub(super) fn encode(pixmap: &Pixmap, settings: Settings) -> Result<Vec<u8>, CodecError> {
    let (width, height) = (pixmap.width(), pixmap.height());
    check_side(width, height, NAME, SIDE)?;
    let data = pixmap.data();
    let (colours, alpha): (Vec<u8>, Vec<u8>) = match pixmap.layout() {
        Layout::Rgb => return encode_rgb(data, width, height, None, settings),
        Layout::Luma => {
            let (across, down) = Sampling::JPEG_420.chroma_size(width, height);
            let neutral = vec![128; across as usize * down as usize];
            return write(width, height, [(data, width), (&neutral, across), (&neutral, across)], None, settings);
        }
        Layout::Rgba => {
            let pixels = data.as_chunks::<4>().0.iter();
            (pixels.clone().flat_map(|&[r, g, b, _]| [r, g, b]).collect(), pixels.map(|pixel| pixel[3]).collect())
        }
        Layout::LumaAlpha => {
            let pixels = data.as_chunks::<2>().0.iter();
            (pixels.clone().flat_map(|&[grey, _]| [grey; 3]).collect(), pixels.map(|pixel| pixel[1]).collect())
        }
    };
    let alpha = alpha.iter().any(|&alpha| alpha < 255).then_some(&alpha[..]);
    encode_rgb(&colours, width, height, alpha, settings)
}

fn encode_rgb(
    data: &[u8],
    width: u32,
    height: u32,
    alpha: Option<&[u8]>,
    settings: Settings,
) -> Result<Vec<u8>, CodecError> {
    let full = match settings.chroma {
        Chroma::Auto => chroma::is_needed(data, width as usize),
        Chroma::Quarter => false,
        Chroma::Full => true,
    };
    let sampling = if full { Sampling::default() } else { Sampling::JPEG_420 };
    let (across, _) = sampling.chroma_size(width, height);
    let [luma, blue, red] = planes(data, width as usize, full);
    write(width, height, [(&luma, width), (&blue, across), (&red, across)], alpha, settings)
}

/// Planes as they are; `None` for those that the settings want sampled otherwise.
pub(super) fn encode_planes(planes: &Ycbcr, settings: Settings) -> Option<Result<Vec<u8>, CodecError>> {
    let fits = match settings.chroma {
        Chroma::Auto | Chroma::Quarter => planes.sampling() == Sampling::JPEG_420,
        Chroma::Full => planes.sampling() == Sampling::default(),
    };
    if !fits {
        return None;
    }
    let (width, height) = (planes.width(), planes.height());
    if let Err(refused) = check_side(width, height, NAME, SIDE) {
        return Some(Err(refused));
    }
    let [blue, red] = planes.chroma();
    let across = planes.chroma_width();
    Some(write(width, height, [(planes.luma(), width), (blue, across), (red, across)], None, settings))
}

/// Luma, blue and red difference of RGB, BT.601 full range in 16 fractional bits; chroma of the mean of each block of two by two
/// unless `full`.
fn planes(data: &[u8], width: usize, full: bool) -> [Vec<u8>; 3] {
    let pixels = data.as_chunks::<3>().0;
    let byte = |value: i32| u8::try_from((value >> 16).clamp(0, 255)).unwrap_or(0);
    let luma = |&[r, g, b]: &[u8; 3]| {
        let [r, g, b] = [r, g, b].map(i32::from);
        byte(19_595 * r + 38_470 * g + 7471 * b + 32_768)
    };
    // Of the sum of four: two more fractional bits.
    let difference = |[r, g, b]: [i32; 3], [of_r, of_g, of_b]: [i32; 3]| {
        byte(((of_r * r + of_g * g + of_b * b) >> 2) + (128 << 16) + 32_768)
    };
    let (blue_of, red_of) = ([-11_059, -21_709, 32_768], [32_768, -27_439, -5329]);
    let rows = pixels.chunks_exact(width);
    let step = if full { 1 } else { 2 };
    let (mut blue, mut red) = (Vec::new(), Vec::new());
    for (upper, y) in rows.clone().zip(0_usize..).step_by(step) {
        let lower = if full { upper } else { rows.clone().nth(y + 1).unwrap_or(upper) };
        for (above, below) in upper.chunks(step).zip(lower.chunks(step)) {
            let corners = [above.first(), above.last(), below.first(), below.last()];
            let mut sum = [0; 3];
            for pixel in corners.into_iter().flatten() {
                sum.iter_mut().zip(pixel).for_each(|(sum, &sample)| *sum += i32::from(sample));
            }
            blue.push(difference(sum, blue_of));
            red.push(difference(sum, red_of));
        }
    }
    [pixels.iter().map(luma).collect(), blue, red]
}

/// The file of these planes. Those of chroma are of half the width, rounded up, or of all of it.
fn write(
    width: u32,
    height: u32,
    colour: [Plane<'_>; 3],
    alpha: Option<&[u8]>,
    settings: Settings,
) -> Result<Vec<u8>, CodecError> {
    // A picture of one column has chroma of one column either way.
    let [(luma, _), (blue, across), _] = colour;
    let full = luma.len() == blue.len() && across == width;
    let sampling = if full { ChromaSampling::Cs444 } else { ChromaSampling::Cs420 };
    let speed = speed(settings);
    let size = (width, height);
    let coded = av1(size, &colour, sampling, quantizer(settings.quality), speed)?;
    // Edges of what is cut out are seen sooner than noise inside.
    let better = Quality::new(settings.quality.get().saturating_add(10));
    let alpha =
        alpha.map(|alpha| av1(size, &[(alpha, width)], ChromaSampling::Cs400, quantizer(better), speed)).transpose()?;
    let mut file = Vec::new();
    Aviffy::new()
        .set_matrix_coefficients(constants::MatrixCoefficients::Bt601)
        .set_full_color_range(true)
        .set_chroma_subsampling((!full, !full))
        .set_seq_profile(u8::from(full))
        .write(&mut file, &coded, alpha.as_deref(), width, height, 8)
        .map_err(|error| failure(NAME, error))?;
    Ok(file)
}

/// The settings for a still picture: what serves motion is off. Blocks of 16 pixels at most, and no filters after the fact, are
/// where photos of some hundred pixels lose a hundredth in size and gain half of the time.
fn speed(settings: Settings) -> SpeedSettings {
    let (preset, least) = match settings.effort {
        Effort::Fast => (10, BlockSize::BLOCK_16X16),
        Effort::Balanced => (8, BlockSize::BLOCK_8X8),
        Effort::Small => (6, BlockSize::BLOCK_8X8),
    };
    let mut speed = SpeedSettings::from_preset(preset);
    speed.multiref = false;
    speed.rdo_lookahead_frames = 1;
    speed.scene_detection_mode = SceneDetectionSpeed::None;
    speed.motion.include_near_mvs = false;
    speed.motion.use_satd_subpel = false;
    speed.cdef = false;
    speed.lrf = false;
    speed.partition.partition_range = PartitionRange::new(least, BlockSize::BLOCK_16X16);
    speed.prediction.prediction_modes = PredictionModesSetting::Simple;
    speed.prediction.fine_directional_intra = preset <= 6;
    speed.transform.rdo_tx_decision = false;
    speed.transform.reduced_tx_set = preset >= 9;
    speed.transform.enable_inter_tx_split = preset >= 9;
    speed.transform.tx_domain_rate = preset >= 10;
    speed
}

/// One AV1 picture of one or three planes.
fn av1(
    (width, height): (u32, u32),
    planes: &[Plane<'_>],
    chroma_sampling: ChromaSampling,
    quantizer: u8,
    speed_settings: SpeedSettings,
) -> Result<Vec<u8>, CodecError> {
    let srgb = ColorDescription {
        color_primaries: ColorPrimaries::BT709,
        transfer_characteristics: TransferCharacteristics::SRGB,
        matrix_coefficients: MatrixCoefficients::BT601,
    };
    let config = EncoderConfig {
        width: width as usize,
        height: height as usize,
        bit_depth: 8,
        chroma_sampling,
        pixel_range: PixelRange::Full,
        color_description: (planes.len() == 3).then_some(srgb),
        still_picture: true,
        quantizer: quantizer.into(),
        min_quantizer: quantizer,
        speed_settings,
        ..EncoderConfig::default()
    };
    let config = Config::new().with_encoder_config(config).with_threads(1);
    let mut context: Context<u8> = config.new_context().map_err(|error| failure(NAME, error))?;
    let mut frame = context.new_frame();
    for (into, (samples, width)) in frame.planes.iter_mut().zip(planes) {
        into.copy_from_raw_u8(samples, *width as usize, 1);
    }
    context.send_frame(frame).map_err(|error| failure(NAME, error))?;
    context.flush();
    let mut coded = Vec::new();
    loop {
        match context.receive_packet() {
            Ok(packet) => coded.extend_from_slice(&packet.data),
            Err(EncoderStatus::Encoded) => {}
            Err(EncoderStatus::LimitReached) => return Ok(coded),
            Err(error) => return Err(failure(NAME, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_quality_is_a_finer_quantizer() {
        let all: Vec<u8> = (1..=100).map(|quality| quantizer(Quality::new(quality))).collect();
        assert!(all.windows(2).all(|pair| pair[0] > pair[1]), "{all:?}");
        assert_eq!((all[0], all[79], all[99]), (255, 100, 4));
    }

    #[test]
    fn planes_are_those_of_the_definition() {
        let data = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3], [0; 3], [10, 200, 90]].concat();
        let [luma, blue, red] = planes(&data, 3, true);
        assert_eq!(luma, [76, 150, 29, 255, 0, 131]);
        assert_eq!(blue, [85, 44, 255, 128, 128, 105]);
        assert_eq!(red, [255, 21, 107, 128, 128, 42]);
        let [again, blue, red] = planes(&data, 3, false);
        assert_eq!((again, blue.len(), red.len()), (luma, 2, 2));
        // The mean of red, green, white and black; that of blue and the last one, both twice.
        assert_eq!((blue, red), (vec![96, 180], vec![133, 75]));
    }
}
