//! The pictures that lie beside the checkout, where they do.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;

use glimt::pixels::{Layout, Pixmap};

/// The files of a folder of the corpus by name, in order; none, and a line that says so, when there is no corpus.
pub(crate) fn files(folder: &str) -> Vec<(String, PathBuf)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")).join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: no corpus");
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// A file of `tests/data`.
pub(crate) fn own(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).join(name)).unwrap()
}

/// Peak resident memory of this process so far, in bytes; `None` where the system does not say.
pub(crate) fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// A picture with smooth slopes, hard edges and colour, for encoders to be judged by.
pub(crate) fn test_picture(width: u32, height: u32, layout: Layout) -> Pixmap {
    let channels = layout.channels();
    let mut data = Vec::with_capacity(width as usize * height as usize * channels);
    for y in 0..height {
        for x in 0..width {
            let slope = (x * 255 / width.max(2)).min(255);
            let fall = (y * 255 / height.max(2)).min(255);
            let block = if (x / 16 + y / 16) % 2 == 0 { 40 } else { 0 };
            let disc =
                if (2 * x).abs_diff(width).pow(2) + (2 * y).abs_diff(height).pow(2) < width.min(height).pow(2) / 2 {
                    60
                } else {
                    0
                };
            let colour = [slope.saturating_sub(block), fall, (slope / 2 + fall / 2 + disc).min(255)];
            let alpha = 255 - fall / 2;
            let pixel = match layout {
                Layout::Luma => vec![colour[0]],
                Layout::LumaAlpha => vec![colour[0], alpha],
                Layout::Rgb => colour.to_vec(),
                Layout::Rgba => [&colour[..], &[alpha]].concat(),
            };
            data.extend(pixel.into_iter().map(|sample| u8::try_from(sample).unwrap()));
        }
    }
    Pixmap::new(width, height, layout, data).unwrap()
}

/// Peak signal to noise in decibels; infinite for equal bytes.
pub(crate) fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2)).sum();
    10.0 * (255.0_f64.powi(2) * a.len() as f64 / sum).log10()
}
