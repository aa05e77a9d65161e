//! Chroma that lies under any number of samples of luma, by the definition, at every scale.

use super::encoder::Component;
use super::*;

/// Factors of luma, and of chroma that divides it, blue and red on their own.
fn factors() -> impl Strategy<Value = [(usize, usize); 3]> {
    let divisors = |of: usize| (1..=of).filter(|part| of.is_multiple_of(*part)).collect::<Vec<_>>();
    (1..=4_usize, 1..=4_usize).prop_flat_map(move |(across, down)| {
        let one = || (prop::sample::select(divisors(across)), prop::sample::select(divisors(down)));
        (one(), one(), any::<bool>())
            .prop_map(move |(blue, red, same)| [(across, down), blue, if same { blue } else { red }])
    })
}

/// A plane by the definition.
struct Defined {
    samples: Vec<f64>,
    width: usize,
}

impl Defined {
    /// Blocks of this shape.
    fn new(component: &Component, (across, down): (usize, usize)) -> Self {
        let width = component.columns * across;
        let rows = component.blocks.len() / component.columns;
        let mut samples = vec![0.0; width * rows * down];
        for (block, at) in component.blocks.iter().zip(0..) {
            for (sample, place) in defined(block, (across, down)).into_iter().zip(0..) {
                let (column, row) = (at % component.columns, at / component.columns);
                samples[(row * down + place / across) * width + column * across + place % across] = sample;
            }
        }
        Self { samples, width }
    }

    /// Between the samples of the first so many columns and rows, of which each is `by` samples long.
    fn at(&self, (x, y): (usize, usize), by: (usize, usize), (columns, rows): (usize, usize)) -> f64 {
        let place = |at: usize, by: usize, len: usize| {
            let place = (2 * at + 1).saturating_sub(by);
            let left = (place / (2 * by)).min(len - 1);
            (left, (left + 1).min(len - 1), (place % (2 * by)) as f64 / (2 * by) as f64)
        };
        let (left, right, across) = place(x, by.0, columns);
        let (upper, lower, down) = place(y, by.1, rows);
        let row = |y: usize| {
            self.samples[y * self.width + left] * (1.0 - across) + self.samples[y * self.width + right] * across
        };
        row(upper) * (1.0 - down) + row(lower) * down
    }
}

/// Differences of a plane of `width` from the definition, the largest and the mean. Samples of a component of this size and these
/// ratios are made `luma` for 8, or as many as fit into a block and stretched, to as many as luma has or half.
fn difference_from(
    plane: &[u8],
    width: usize,
    component: &Component,
    size: (usize, usize),
    luma: usize,
    (across, down): ((usize, bool), (usize, bool)),
) -> (f64, f64) {
    let fit = |(ratio, half): (usize, bool)| {
        let wanted = luma * ratio / if half { 2 } else { 1 };
        let samples = (1..=8).rev().find(|samples| wanted.is_multiple_of(*samples)).unwrap();
        (samples, wanted / samples)
    };
    let (across, down) = (fit(across), fit(down));
    let defined = Defined::new(component, (across.0, down.0));
    let there = ((size.0 * across.0).div_ceil(8), (size.1 * down.0).div_ceil(8));
    let (mut max, mut sum) = (0.0_f64, 0.0);
    for (got, at) in plane.iter().zip(0..) {
        let want = defined.at((at % width, at / width), (across.1, down.1), there);
        let off = (f64::from(*got) - want).abs();
        (max, sum) = (max.max(off), sum + off);
    }
    // Of few samples one is much.
    (max, sum / plane.len().max(64) as f64)
}

/// The largest difference of all planes of a file from the definition, and the largest mean.
fn compared(picture: &Picture, size: (u16, u16), components: &[Component; 3], scale: Scale) -> (f64, f64) {
    let Picture::Planar(planes) = picture else { panic!("planes") };
    let luma = 8 / scale.divisor() as usize;
    let most = components[0].factors;
    let widths = [planes.width(), planes.chroma_width(), planes.chroma_width()];
    let [blue, red] = planes.chroma();
    let (mut max, mut mean) = (0.0_f64, 0.0_f64);
    for (((plane, width), component), at) in [planes.luma(), blue, red].into_iter().zip(widths).zip(components).zip(0..)
    {
        let (across, down) = (most.0 / component.factors.0, most.1 / component.factors.1);
        let own = (usize::from(size.0).div_ceil(across), usize::from(size.1).div_ceil(down));
        let sampling = planes.sampling();
        let halves = (at > 0 && sampling.half_width, at > 0 && sampling.half_height);
        let ratios = ((across, halves.0), (down, halves.1));
        let (most, middle) = difference_from(plane, width as usize, component, own, luma, ratios);
        (max, mean) = (max.max(most), mean.max(middle));
    }
    (max, mean)
}

fn components(size: (u16, u16), factors: [(usize, usize); 3], seed: u32) -> [Component; 3] {
    let mut seed = seed;
    factors.map(|its| {
        seed = seed.wrapping_add(77);
        Component::new(size, its, factors[0], |count| blocks(count, seed))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// Rounded once where nothing is stretched, and twice where something is: off by a half or by one, and in the mean by a quarter
    /// and by half of that more.
    #[test]
    fn every_sampling_is_what_the_definition_says(
        factors in factors(),
        size in (1..=70_u16, 1..=70_u16),
        progressive: bool,
        seed: u32,
    ) {
        let components = components(size, factors, seed);
        let file = encoder::colour(size, &components, progressive);
        for scale in Scale::ALL {
            let picture = decode(&file, scale, &Budget::default()).unwrap().expect("taken");
            let (max, mean) = compared(&picture, size, &components, scale);
            prop_assert!(max < 1.0 + 4e-3 && mean < 0.51, "{scale:?}: {max} at most, {mean} in the mean");
        }
    }
}

#[test]
fn factors_of_grey_mean_nothing() {
    let size = (37, 29);
    for factors in [(1, 1), (2, 2), (4, 1), (3, 2), (4, 4)] {
        for progressive in [false, true] {
            let grey = Component::new(size, factors, factors, |count| blocks(count, 5));
            let file = encoder::colour(size, &[grey], progressive);
            let of = |file: &[u8]| decode(file, Scale::Half, &Budget::default()).unwrap().expect("taken");
            let Picture::Packed(got) = of(&file) else { panic!("grey") };
            let grey = Component::new(size, factors, factors, |count| blocks(count, 5));
            let defined = Defined::new(&grey, (4, 4));
            for (sample, at) in got.data().iter().zip(0..) {
                let want = defined.samples[at / 19 * defined.width + at % 19];
                assert!((f64::from(*sample) - want).abs() < 0.51, "{factors:?}: {sample} for {want}");
            }
        }
    }
}

/// The comparison notices a plane moved by a sample, chroma in each other's place, and a sample stretched where it should be
/// interpolated.
#[test]
fn another_sampling_is_noticed() {
    let (size, scale) = ((64, 48), Scale::Whole);
    for factors in [[(4, 1), (1, 1), (1, 1)], [(2, 1), (1, 1), (1, 1)], [(3, 2), (1, 1), (3, 1)]] {
        let components = components(size, factors, 3);
        let file = encoder::colour(size, &components, false);
        let picture = planes(&file).unwrap();
        assert!(compared(&picture, size, &components, scale).1 < 0.51);
        let Picture::Planar(planes) = picture else { panic!("planes") };
        let [blue, red] = planes.chroma().clone();
        let with = |luma: &[u8], chroma| {
            let planes = Ycbcr::new(64, 48, planes.sampling(), luma.to_vec(), chroma).unwrap();
            compared(&Picture::Planar(planes), size, &components, scale).1
        };
        assert!(with(planes.luma(), [red.clone(), blue.clone()]) > 2.0);
        let mut moved = red.clone();
        moved.rotate_left(1);
        assert!(with(planes.luma(), [blue.clone(), moved]) > 1.0);
        if factors[0].0 > 2 {
            let repeated: Vec<u8> = blue.chunks(2).flat_map(|pair| [pair[0]; 2]).collect();
            assert!(with(planes.luma(), [repeated, red]) > 0.6);
        }
    }
}

#[test]
fn chroma_comes_as_large_as_luma_where_its_blocks_have_that() {
    let of = |luma: usize, ratios: &[usize]| {
        let (is_half, fits) = Fit::of(luma, ratios).unwrap();
        (is_half, fits.iter().map(|fit| (fit.samples, fit.stretch)).collect::<Vec<_>>())
    };
    for (luma, ratio, is_half, samples, stretch) in [
        (8, 1, false, 8, 1),
        (8, 2, true, 8, 1),
        (8, 3, false, 8, 3),
        (8, 4, true, 8, 2),
        (4, 1, false, 4, 1),
        (4, 2, false, 8, 1),
        (4, 3, true, 6, 1),
        (4, 4, true, 8, 1),
        (2, 2, false, 4, 1),
        (2, 3, false, 6, 1),
        (2, 4, false, 8, 1),
        (1, 1, false, 1, 1),
        (1, 2, false, 2, 1),
        (1, 4, false, 4, 1),
    ] {
        assert_eq!(of(luma, &[ratio, ratio]), (is_half, vec![(samples, stretch); 2]), "{luma} {ratio}");
    }
    assert_eq!(of(8, &[1, 2]), (false, vec![(8, 1), (8, 2)]));
    assert_eq!(of(8, &[]), (false, Vec::new()));
}

/// What a frame of this header makes the decoder hold until the last scan, and the largest plane once more where one is stretched.
fn held(marker: u8, (width, height): (u16, u16), factors: [(usize, usize); 3], scale: Scale) -> Option<u64> {
    let mut frame = [&[8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[3]].concat();
    for ((across, down), id) in factors.into_iter().zip(1..) {
        frame.extend([id, u8::try_from(across << 4 | down).unwrap(), 0]);
    }
    let budget = Budget::default();
    let mut decoder = Decoder::new(&[], scale, &budget);
    decoder.start(marker, &frame).ok()?;
    let of = |target: &Target| target.plane.bytes() + target.coefficients.as_ref().map_or(0, Coefficients::bytes);
    let stretched = decoder.targets.iter().filter(|target| target.stretch != (1, 1)).map(|its| its.size.0 * its.size.1);
    let stretched = stretched.max().unwrap_or(0);
    Some((decoder.targets.iter().map(of).sum::<usize>() + stretched) as u64)
}

/// Whatever the sampling, no more is held than is said before anything of the file is known but its size; and that is no more than a
/// third over what the worst of them takes.
#[test]
fn no_more_is_held_than_is_said() {
    let sides: Vec<usize> = (1..=4).collect();
    let factors = || sides.iter().flat_map(|across| sides.iter().map(|down| (*across, *down)));
    for size in [(1, 1), (37, 900), (1601, 1203)] {
        for scale in Scale::ALL {
            let said = peak_bytes(size.0.into(), size.1.into(), scale);
            let mut most = 0;
            for luma in factors() {
                for blue in factors() {
                    for red in factors() {
                        let took = [0xC0, 0xC2].map(|marker| held(marker, size, [luma, blue, red], scale));
                        most = most.max(took.into_iter().flatten().max().unwrap_or(0));
                    }
                }
            }
            assert!(most > 0 && most <= said, "{size:?} {scale:?}: {most} of {said}");
            assert!(size.0 < 1000 || said < most * 4 / 3, "{size:?} {scale:?}: {most} of {said}");
        }
    }
}
