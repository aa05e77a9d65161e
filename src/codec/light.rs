//! From the curves and primaries of a picture to sRGB, bright pictures included.
//!
//! Numbers are those of ITU-T H.273. HDR becomes SDR as ITU-R BT.2390 maps tones, with 203 cd/m² (the reference white of ITU-R
//! BT.2408) as the peak of the result: below a knee at about 95 cd/m² nothing changes, above it everything up to 1000 cd/m²
//! still differs.

/// `round(255 * value)` of a value clamped to 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float to integer saturates, NaN is 0")]
pub(crate) fn byte(value: f32) -> u8 {
    (value * 255.0 + 0.5) as u8
}

/// Entries of the tables, less one: fine enough that an entry is a twentieth of a level where the curve is steepest.
const STEPS: f32 = 65_535.0;

/// The peak of the source, where it does not matter what a display could show: most pictures are graded for this.
const SOURCE_PEAK: f32 = 1000.0;

/// What white is in the result.
const WHITE: f32 = 203.0;

/// From the colours of a picture to sRGB.
pub(crate) enum Mapping {
    /// They are sRGB, or nobody can say otherwise.
    Keep,
    /// Through linear light.
    Through(Box<Tables>),
}

/// Curves and primaries.
pub(crate) struct Tables {
    /// Light of each signal: 0 to 1, or cd/m² where the picture is HDR; scene light where it is HLG.
    light: Vec<f32>,
    /// Of linear light in the picture's primaries in that of BT.709's.
    primaries: [[f32; 3]; 3],
    /// sRGB levels of light from 0 to 1.
    levels: Vec<u8>,
    tones: Option<Tones>,
}

/// HDR to SDR.
struct Tones {
    /// The signal is that of a scene (HLG): a display would apply its gamma.
    scene: bool,
    /// By what colours are multiplied, by the square root of the brightest of them over 10,000 cd/m².
    gains: Vec<f32>,
}

/// ITU-R BT.2087, table 2.
const BT709_FROM_BT2020: [[f32; 3]; 3] = [
    [1.660_491, -0.587_641_1, -0.072_849_9],
    [-0.124_550_5, 1.132_9, -0.008_349_4],
    [-0.018_150_8, -0.100_578_9, 1.118_729_7],
];

/// From the chromaticities of SMPTE EG 432-1 with the white of D65.
const BT709_FROM_P3: [[f32; 3]; 3] =
    [[1.224_940_2, -0.224_940_2, 0.0], [-0.042_057, 1.042_057, 0.0], [-0.019_637_6, -0.078_636, 1.098_273_6]];

const SAME: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

impl Mapping {
    /// What these numbers ask for. BT.709 and its relatives are shown by everyone as if they were sRGB, and are so here.
    pub(crate) fn new(primaries: u16, transfer: u16) -> Self {
        let primaries = match primaries {
            9 => BT709_FROM_BT2020,
            11 | 12 => BT709_FROM_P3,
            _ => SAME,
        };
        let light: fn(f32) -> f32 = match transfer {
            4 => |signal| signal.powf(2.2),
            5 => |signal| signal.powf(2.8),
            8 => |signal| signal,
            16 => pq_light,
            18 => hlg_light,
            _ if primaries == SAME => return Self::Keep,
            _ => srgb_light,
        };
        let hdr = matches!(transfer, 16 | 18);
        let tones = hdr.then(|| Tones {
            scene: transfer == 18,
            gains: table(|root| {
                let light = root * root * 10_000.0;
                if light > 0.0 { tone(light) / light } else { 1.0 }
            }),
        });
        let levels = table(srgb_signal).into_iter().map(byte).collect();
        Self::Through(Box::new(Tables { light: table(light), primaries, levels, tones }))
    }

    /// sRGB of one pixel.
    pub(crate) fn srgb(&self, rgb: [f32; 3]) -> [u8; 3] {
        match self {
            Self::Keep => rgb.map(byte),
            Self::Through(tables) => tables.srgb(rgb),
        }
    }
}

impl Tables {
    fn srgb(&self, rgb: [f32; 3]) -> [u8; 3] {
        let mut light = rgb.map(|signal| entry(&self.light, signal));
        if let Some(tones) = &self.tones {
            if tones.scene {
                // ITU-R BT.2100, table 5: a display of 1000 cd/m² has a gamma of 1.2.
                let [r, g, b] = light;
                let luminance = 0.2627 * r + 0.6780 * g + 0.0593 * b;
                light = light.map(|scene| SOURCE_PEAK * luminance.powf(0.2) * scene);
            }
            let [r, g, b] = light;
            let gain = entry(&tones.gains, (r.max(g).max(b) / 10_000.0).sqrt()) / WHITE;
            light = light.map(|light| light * gain);
        }
        let [r, g, b] = light;
        self.primaries.map(|[red, green, blue]| entry(&self.levels, red * r + green * g + blue * b))
    }
}

/// The function at every step from 0 to 1.
fn table(of: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..=u16::MAX).map(|step| of(f32::from(step) / STEPS)).collect()
}

/// The entry nearest to a value, which is clamped to 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float to integer saturates, NaN is 0")]
fn entry<T: Copy + Default>(table: &[T], value: f32) -> T {
    table.get(usize::from((value * STEPS + 0.5) as u16)).copied().unwrap_or_default()
}

/// IEC 61966-2-1.
fn srgb_light(signal: f32) -> f32 {
    if signal <= 0.040_45 { signal / 12.92 } else { ((signal + 0.055) / 1.055).powf(2.4) }
}

/// IEC 61966-2-1, the other way.
fn srgb_signal(light: f32) -> f32 {
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

// SMPTE ST 2084.
const M1: f32 = 2610.0 / 16384.0;
const M2: f32 = 2523.0 / 32.0;
const C1: f32 = 3424.0 / 4096.0;
const C2: f32 = 2413.0 / 128.0;
const C3: f32 = 2392.0 / 128.0;

/// cd/m² of a PQ signal.
fn pq_light(signal: f32) -> f32 {
    let root = signal.powf(1.0 / M2);
    10_000.0 * ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// The PQ signal of cd/m².
fn pq_signal(light: f32) -> f32 {
    let root = (light / 10_000.0).powf(M1);
    ((C1 + C2 * root) / (1.0 + C3 * root)).powf(M2)
}

/// Scene light of an HLG signal, 0 to 1 (ITU-R BT.2100, table 5).
fn hlg_light(signal: f32) -> f32 {
    if signal <= 0.5 {
        signal * signal / 3.0
    } else {
        (((signal - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0
    }
}

/// cd/m² in the result for cd/m² in the picture: ITU-R BT.2390-10, section 5.4.1, without a lift of black. In the scale of PQ over
/// the source's peak, straight up to a knee and from there a Hermite spline to the result's peak.
fn tone(light: f32) -> f32 {
    let source = pq_signal(SOURCE_PEAK);
    let peak = pq_signal(WHITE) / source;
    let knee = 1.5 * peak - 0.5;
    let signal = (pq_signal(light) / source).min(1.0);
    if signal < knee {
        return light;
    }
    let t = (signal - knee) / (1.0 - knee);
    let (square, cube) = (t * t, t * t * t);
    let mapped = (2.0 * cube - 3.0 * square + 1.0) * knee
        + (cube - 2.0 * square + t) * (1.0 - knee)
        + (3.0 * square - 2.0 * cube) * peak;
    pq_light(mapped * source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_stays_white_and_grey_grey() {
        for matrix in [BT709_FROM_BT2020, BT709_FROM_P3] {
            for row in matrix {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
            }
        }
        for primaries in [9, 12] {
            let mapping = Mapping::new(primaries, 13);
            for level in [0_u8, 1, 7, 60, 128, 200, 255] {
                assert_eq!(mapping.srgb([f32::from(level) / 255.0; 3]), [level; 3], "{primaries}");
            }
        }
        assert!(matches!(Mapping::new(1, 1), Mapping::Keep));
        assert!(matches!(Mapping::new(2, 2), Mapping::Keep));
    }

    /// The numbers of the test of profiles: (200, 100, 50) in Display P3.
    #[test]
    fn display_p3_moves() {
        let mapping = Mapping::new(12, 13);
        let got = mapping.srgb([200.0 / 255.0, 100.0 / 255.0, 50.0 / 255.0]);
        assert!(got.iter().zip([215_u8, 93, 31]).all(|(got, want)| got.abs_diff(want) <= 1), "{got:?}");
        assert!(200_u8.abs_diff(215) > 1, "the control");
    }

    /// ST 2084: 100 cd/m² is a signal of 0.508, 203 of 0.581, 1000 of 0.752.
    #[test]
    fn bright_pictures_keep_their_order() {
        for (light, signal) in [(100.0, 0.508), (203.0, 0.581), (1000.0, 0.752), (10_000.0, 1.0)] {
            assert!((pq_signal(light) - signal).abs() < 0.0005, "{light}: {}", pq_signal(light));
            assert!((pq_light(pq_signal(light)) / light - 1.0).abs() < 0.001, "{light}");
        }
        let mapping = Mapping::new(9, 16);
        let level = |light: f32| mapping.srgb([pq_signal(light); 3])[1];
        assert_eq!([level(0.0), level(1000.0), level(4000.0)], [0, 255, 255]);
        // 50 cd/m² of 203 is 0.246 of white, unchanged: sRGB 136.
        assert!(level(50.0).abs_diff(136) <= 1, "{}", level(50.0));
        let white = level(203.0);
        assert!((220..240).contains(&white), "paper white leaves room above it: {white}");
        let steps: Vec<u8> = (0..100_u8).map(|step| level(f32::from(step) * 10.0)).collect();
        assert!(steps.is_sorted(), "{steps:?}");
        assert!(level(800.0) > white, "highlights differ");
        // The control: without the mapping they would not.
        assert_eq!(byte(srgb_signal(800.0 / WHITE)), byte(srgb_signal(300.0 / WHITE)));
    }

    /// HLG: a signal of 0.75 is 203 cd/m² on a display of 1000 (ITU-R BT.2408, table 1).
    #[test]
    fn both_kinds_of_hdr_agree_on_white() {
        let hlg = Mapping::new(9, 18).srgb([0.75; 3]);
        let pq = Mapping::new(9, 16).srgb([pq_signal(203.0); 3]);
        assert!(hlg[1].abs_diff(pq[1]) <= 1, "{hlg:?} {pq:?}");
    }
}
