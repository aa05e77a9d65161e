//! A proxy as it lies in its file: a head of 24 bytes, and then the samples as they are.
//!
//! Nothing is coded, so that reading one is a copy, and a variant is the same to the bit as without one (docs/proxies.md).
//!
//! | bytes | what |
//! |---|---|
//! | 0 to 7 | `glimtpx1`: another version has another number |
//! | 8 to 19 | columns and rows of the original as stored, and the divisor: 4 bytes each, little-endian |
//! | 20 | planes (0), or the channels of a pixel (1 to 4) |
//! | 21 | how it is to be turned, as EXIF numbers it |
//! | 22 | of planes: chroma has half the columns (1), half the rows (2), and lies to the left (4) |
//! | 23 | 0 |
//!
//! The size in pixels is that of the original, divided and rounded up.

use crate::pixels::{
    Layout, Orientation, Picture, Pixmap, Size,
    pixmap::{Sampling, Siting, Ycbcr},
};

const MAGIC: &[u8; 8] = b"glimtpx1";

const HEAD_BYTES: usize = 24;

/// A picture in small, and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::service) struct Proxy {
    /// The pixels, in sRGB with straight alpha.
    pub(in crate::service) picture: Picture,
    /// How they are to be turned.
    pub(in crate::service) orientation: Orientation,
    /// What the sides of the original were divided by.
    pub(in crate::service) divisor: u32,
    /// Columns and rows of the original, not turned.
    pub(in crate::service) whole: Size,
}

impl Proxy {
    /// The bytes of its file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (kind, sampling, planes): (u8, u8, [&[u8]; 3]) = match &self.picture {
            Picture::Planar(planes) => {
                let Sampling { half_width, half_height, siting } = planes.sampling();
                let bits = u8::from(half_width) | u8::from(half_height) << 1 | u8::from(siting == Siting::Left) << 2;
                let [blue, red] = planes.chroma();
                (0, bits, [planes.luma(), blue, red])
            }
            Picture::Packed(pixels) => {
                let channels = match pixels.layout() {
                    Layout::Luma => 1,
                    Layout::LumaAlpha => 2,
                    Layout::Rgb => 3,
                    Layout::Rgba => 4,
                };
                (channels, 0, [pixels.data(), &[], &[]])
            }
        };
        let turned = (1..=8).find(|exif| Orientation::from_exif(*exif) == Some(self.orientation)).unwrap_or(1);
        let mut bytes = Vec::with_capacity(HEAD_BYTES + planes.iter().map(|plane| plane.len()).sum::<usize>());
        bytes.extend_from_slice(MAGIC);
        for number in [self.whole.width, self.whole.height, self.divisor] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&[kind, turned, sampling, 0]);
        planes.iter().for_each(|plane| bytes.extend_from_slice(plane));
        bytes
    }

    /// The proxy in the bytes of a file; `None` when they are none, or those of another version.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, samples) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (magic, rest) = head.split_first_chunk::<8>()?;
        let (numbers, rest) = rest.as_chunks::<4>();
        let [width, height, divisor, [kind, turned, sampling, 0]] = *numbers else { return None };
        let [width, height, divisor] = [width, height, divisor].map(u32::from_le_bytes);
        if magic != MAGIC || !rest.is_empty() || divisor == 0 {
            return None;
        }
        let whole = Size::new(width, height);
        let size = whole.divided(divisor);
        let layout = match kind {
            0 => None,
            1 => Some(Layout::Luma),
            2 => Some(Layout::LumaAlpha),
            3 => Some(Layout::Rgb),
            4 => Some(Layout::Rgba),
            _ => return None,
        };
        let picture = match layout {
            Some(layout) => Picture::Packed(Pixmap::new(size.width, size.height, layout, samples.to_vec()).ok()?),
            None => {
                let siting = if sampling & 4 == 0 { Siting::Centre } else { Siting::Left };
                let sampling = Sampling { half_width: sampling & 1 != 0, half_height: sampling & 2 != 0, siting };
                let luma = usize::try_from(size.pixels()).ok()?;
                let (columns, rows) = sampling.chroma_size(size.width, size.height);
                let chroma = usize::try_from(Size::new(columns, rows).pixels()).ok()?;
                let (luma, rest) = samples.split_at_checked(luma)?;
                let (blue, red) = rest.split_at_checked(chroma)?;
                let chroma = [blue.to_vec(), red.to_vec()];
                Picture::Planar(Ycbcr::new(size.width, size.height, sampling, luma.to_vec(), chroma).ok()?)
            }
        };
        Some(Self { picture, orientation: Orientation::from_exif(turned)?, divisor, whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: usize) -> Vec<u8> {
        (0..count).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    /// Of 33 by 18 pixels divided by 8: 5 by 3.
    fn all() -> Vec<Proxy> {
        let with = |picture, orientation| Proxy { picture, orientation, divisor: 8, whole: Size::new(33, 18) };
        let mut all = Vec::new();
        for (at, orientation) in Orientation::ALL.into_iter().enumerate() {
            let siting = if at & 4 == 0 { Siting::Centre } else { Siting::Left };
            let sampling = Sampling { half_width: at & 1 != 0, half_height: at & 2 != 0, siting };
            let (width, height) = sampling.chroma_size(5, 3);
            let chroma = (width * height) as usize;
            let chroma = [samples(chroma), samples(chroma + 1)[1..].to_vec()];
            all.push(with(Picture::Planar(Ycbcr::new(5, 3, sampling, samples(15), chroma).unwrap()), orientation));
        }
        for layout in [Layout::Luma, Layout::LumaAlpha, Layout::Rgb, Layout::Rgba] {
            let pixels = Pixmap::new(5, 3, layout, samples(15 * layout.channels())).unwrap();
            all.push(with(Picture::Packed(pixels), Orientation::UPRIGHT));
        }
        all
    }

    #[test]
    fn every_kind_reads_back() {
        for proxy in all() {
            assert_eq!(Proxy::from_bytes(&proxy.to_bytes()), Some(proxy));
        }
    }

    #[test]
    fn what_is_cut_padded_or_of_another_kind_is_none() {
        for proxy in all() {
            let bytes = proxy.to_bytes();
            for end in 0..bytes.len() {
                assert_eq!(Proxy::from_bytes(&bytes[..end]), None, "cut at {end}");
            }
            assert_eq!(Proxy::from_bytes(&[bytes.as_slice(), &[0]].concat()), None, "a byte too many");
            let with = |at: usize, byte: u8| {
                let mut other = bytes.clone();
                other[at] = byte;
                Proxy::from_bytes(&other)
            };
            for (at, byte) in [(7, b'2'), (16, 0), (20, 5), (21, 0), (21, 9), (23, 1)] {
                assert_eq!(with(at, byte), None, "{byte} at {at}");
            }
            assert_eq!(with(8, 200), None, "a size that its samples are not of");
            assert!(with(30, 200).is_some_and(|other| other != proxy), "the control: samples are not looked at here");
        }
    }

    #[test]
    fn a_size_that_nothing_could_hold_is_none() {
        let mut bytes = all()[0].to_bytes();
        bytes[8..20].copy_from_slice(&[[0xff; 4], [0xff; 4], [1, 0, 0, 0]].concat());
        assert_eq!(Proxy::from_bytes(&bytes), None);
    }
}
