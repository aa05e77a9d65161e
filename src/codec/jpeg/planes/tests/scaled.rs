//! Pictures divided while they are decoded, against whole ones transformed.

use super::*;

/// A sample of each 8 by 8 block of a plane, transformed and brought back with fewer frequencies (T.81 A.3.3, as [`defined`]).
struct Plane<'a> {
    samples: &'a [u8],
    width: usize,
}

/// `matrix(n)[v][y]`: the orthonormal cosines of `n` samples.
fn matrix(n: usize) -> Vec<Vec<f64>> {
    let row = |v: usize| {
        let scale = if v == 0 { (1.0 / n as f64).sqrt() } else { (2.0 / n as f64).sqrt() };
        (0..n).map(|y| scale * ((2 * y + 1) as f64 * v as f64 * PI / (2 * n) as f64).cos()).collect()
    };
    (0..n).map(row).collect()
}

impl Plane<'_> {
    /// Differences of the divided plane from this one's, largest and mean, over blocks that are all inside, up to 50 a side. Not
    /// over those that touch black or white: what was cut off there is not known any more.
    fn compare(&self, divided: &Self, (across, down): (usize, usize)) -> (f64, f64) {
        let (whole, few_across, few_down) = (matrix(8), matrix(across), matrix(down));
        let (columns, rows) = (self.width / 8, self.samples.len() / self.width / 8);
        let (mut max, mut sum, mut count) = (0.0_f64, 0.0, 0.0);
        for row in (0..rows).step_by(1 + rows / 50) {
            for column in (0..columns).step_by(1 + columns / 50) {
                let at = |x: usize, y: usize| self.samples[(8 * row + y) * self.width + 8 * column + x];
                if (0..64).any(|place| matches!(at(place % 8, place / 8), 0 | 255)) {
                    continue;
                }
                let at = |x: usize, y: usize| f64::from(at(x, y));
                let mut coefficients = vec![vec![0.0; across]; down];
                for (v, coefficients) in coefficients.iter_mut().enumerate() {
                    for (u, coefficient) in coefficients.iter_mut().enumerate() {
                        for y in 0..8 {
                            *coefficient += (0..8).map(|x| at(x, y) * whole[u][x]).sum::<f64>() * whole[v][y];
                        }
                    }
                }
                for y in 0..down {
                    for x in 0..across {
                        let mut want = 0.0;
                        for (coefficients, few_down) in coefficients.iter().zip(&few_down) {
                            for (coefficient, few_across) in coefficients.iter().zip(&few_across) {
                                want += coefficient * few_across[x] * few_down[y];
                            }
                        }
                        let want = (want * ((across * down) as f64).sqrt() / 8.0).clamp(0.0, 255.0);
                        let got = divided.samples[(down * row + y) * divided.width + across * column + x];
                        let difference = (f64::from(got) - want).abs();
                        (max, sum, count) = (max.max(difference), sum + difference, count + 1.0);
                    }
                }
            }
        }
        (max, if count > 0.0 { sum / count } else { 0.0 })
    }
}

/// The planes of a picture, and the width of each.
fn planes_of(picture: &Picture) -> Vec<Plane<'_>> {
    match picture {
        Picture::Packed(grey) => vec![Plane { samples: grey.data(), width: grey.width() as usize }],
        Picture::Planar(planes) => {
            let chroma = planes.chroma().iter().map(|samples| Plane { samples, width: planes.chroma_width() as usize });
            let luma = Plane { samples: planes.luma(), width: planes.width() as usize };
            [luma].into_iter().chain(chroma).collect()
        }
    }
}

/// The largest difference and the largest mean of all planes.
fn compare(whole: &Picture, divided: &Picture, scale: Scale) -> (f64, f64) {
    let luma = 8 / scale.divisor() as usize;
    let halves = |picture: &Picture| match picture {
        Picture::Planar(planes) => (planes.sampling().half_width, planes.sampling().half_height),
        Picture::Packed(_) => (false, false),
    };
    let (before, after) = (halves(whole), halves(divided));
    // Chroma that is halved and is not any more was divided by half as much.
    let side = |before: bool, after: bool| if before && !after { 2 * luma } else { luma };
    let chroma = (side(before.0, after.0), side(before.1, after.1));
    let (mut max, mut mean) = (0.0_f64, 0.0_f64);
    let sides = [(luma, luma), chroma, chroma];
    for ((whole, divided), side) in planes_of(whole).iter().zip(planes_of(divided)).zip(sides) {
        let (most, middle) = whole.compare(&divided, side);
        (max, mean) = (max.max(most), mean.max(middle));
    }
    (max, mean)
}

#[test]
fn the_corpus_divided_is_the_corpus_transformed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if std::fs::metadata(&corpus).is_err() {
        eprintln!("skipped: no corpus");
        return;
    }
    let (mut taken, mut worst) = (0, (0.0_f64, 0.0_f64));
    for folder in ["photos", "formats", "hostile"] {
        for entry in std::fs::read_dir(corpus.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let Some(whole) = planes(&bytes) else { continue };
            for scale in [Scale::Half, Scale::Quarter, Scale::Eighth] {
                let divided = decode(&bytes, scale, &Budget::default()).unwrap();
                let divided = divided.unwrap_or_else(|| panic!("{}: {scale:?} is not taken", path.display()));
                let (max, mean) = compare(&whole, &divided, scale);
                assert!(mean < 1.0, "{}: {scale:?} differs by {mean} in the mean, {max} at most", path.display());
                worst = (worst.0.max(max), worst.1.max(mean));
            }
            taken += 1;
        }
    }
    assert!(taken > 40, "only {taken} files were taken");
    eprintln!("{taken} files, samples differ by at most {worst:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_files_divided_are_those_files_transformed(case in cases()) {
        let file = file(&case);
        let whole = planes(&file).expect("taken");
        for scale in Scale::ALL {
            let divided = decode(&file, scale, &Budget::default()).unwrap().expect("taken");
            let (max, mean) = compare(&whole, &divided, scale);
            prop_assert!(mean < 1.0, "{scale:?}: {mean} {max}");
        }
    }
}

/// The comparison notices means of squares where frequencies are left out, and a plane moved by a sample.
#[test]
fn what_is_divided_in_another_way_is_noticed() {
    let case = Case { width: 400, height: 300, sampling: None, quality: 95, interval: 5, progressive: false, seed: 7 };
    let file = file(&case);
    let whole = planes(&file).unwrap();
    let good = decode(&file, Scale::Half, &Budget::default()).unwrap().unwrap();
    assert!(compare(&whole, &good, Scale::Half).1 < 0.4);
    let (whole_plane, good_plane) = (&planes_of(&whole)[0], &planes_of(&good)[0]);
    let mut moved = good_plane.samples.to_vec();
    moved.rotate_right(1);
    let with = |samples: &[u8]| whole_plane.compare(&Plane { samples, width: good_plane.width }, (4, 4)).1;
    assert!(with(&moved) > 1.0, "{}", with(&moved));
    let mean_of = |x: usize, y: usize| {
        let at = |x: usize, y: usize| u16::from(whole_plane.samples[y * whole_plane.width + x]);
        let sum = at(2 * x, 2 * y) + at(2 * x + 1, 2 * y) + at(2 * x, 2 * y + 1) + at(2 * x + 1, 2 * y + 1);
        u8::try_from((sum + 2) / 4).unwrap()
    };
    let means: Vec<u8> = (0..150).flat_map(|y| (0..200).map(move |x| mean_of(x, y))).collect();
    assert!(with(&means) > 1.0, "{}", with(&means));
}

#[test]
fn sides_are_rounded_up() {
    for (width, height) in [(1, 1), (7, 9), (8, 16), (17, 33)] {
        let case = Case {
            width,
            height,
            sampling: Some(SamplingFactor::F_2_2),
            quality: 80,
            interval: 0,
            progressive: true,
            seed: 1,
        };
        for scale in Scale::ALL {
            let picture = decode(&file(&case), scale, &Budget::default()).unwrap().unwrap().into_pixmap().unwrap();
            let side = |whole: u16| u32::from(whole).div_ceil(scale.divisor());
            assert_eq!((picture.width(), picture.height()), (side(width), side(height)), "{scale:?}");
        }
    }
}
