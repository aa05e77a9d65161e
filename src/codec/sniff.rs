//! Which format bytes are in, by their first bytes; names and media types sent along are never believed.

/// A format that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputFormat {
    /// JPEG.
    Jpeg,
    /// PNG, and APNG with it.
    Png,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
    /// AVIF.
    Avif,
    /// HEIC. Never what bytes are without the feature `heic`.
    Heic,
    /// JPEG XL.
    Jxl,
    /// Windows bitmap.
    Bmp,
    /// TIFF.
    Tiff,
    /// Windows icon.
    Ico,
    /// Quite OK Image.
    Qoi,
    /// Portable any-map: PBM, PGM, PPM, PAM.
    Pnm,
    /// Scalable Vector Graphics, in UTF-8. Never what bytes are without the feature `svg`.
    Svg,
}

impl InputFormat {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Jpeg,
        Self::Png,
        Self::Webp,
        Self::Gif,
        Self::Avif,
        Self::Heic,
        Self::Jxl,
        Self::Bmp,
        Self::Tiff,
        Self::Ico,
        Self::Qoi,
        Self::Pnm,
        Self::Svg,
    ];

    /// Whether it is to be decoded in a process of its own, where there is a sandbox: its decoder is a port of C (AVIF), has `unsafe` in
    /// its buffers (JPEG XL), or cannot be stopped within a picture (HEIC, SVG). docs/codecs.md has the measurements.
    #[must_use]
    pub const fn is_apart(self) -> bool {
        match self {
            Self::Avif | Self::Heic | Self::Jxl | Self::Svg => true,
            Self::Jpeg
            | Self::Png
            | Self::Webp
            | Self::Gif
            | Self::Bmp
            | Self::Tiff
            | Self::Ico
            | Self::Qoi
            | Self::Pnm => false,
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Avif => "AVIF",
            Self::Heic => "HEIC",
            Self::Jxl => "JPEG XL",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Ico => "ICO",
            Self::Qoi => "QOI",
            Self::Pnm => "PNM",
            Self::Svg => "SVG",
        }
    }
}

/// The format these bytes are in, `None` when it is none that is read here. Looks at the first bytes only: 76 at most, but 64 KiB of
/// what may be an SVG, which may begin with long comments.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Option<InputFormat> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Some(InputFormat::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(InputFormat::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(InputFormat::Webp),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(InputFormat::Gif),
        [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some(InputFormat::Jxl),
        [b'q', b'o', b'i', b'f', ..] => Some(InputFormat::Qoi),
        [0, 0, 1, 0, _, ..] => Some(InputFormat::Ico),
        [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] if is_avif(brands) => Some(InputFormat::Avif),
        [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] => {
            (cfg!(feature = "heic") && is_heic(brands)).then_some(InputFormat::Heic)
        }
        // The same magic, but the pixels are sensor data behind a thumbnail: see `refused`.
        [b'I', b'I', 42, 0, _, _, _, _, b'C', b'R', ..] => None,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(InputFormat::Tiff),
        [b'P', b'1'..=b'6', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] | [b'P', b'7', b'\n', ..] => {
            Some(InputFormat::Pnm)
        }
        // "BM" alone could open a sentence: the size of the second header must be one that exists.
        [b'B', b'M', rest @ ..] => match rest.get(12..16) {
            Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]) => Some(InputFormat::Bmp),
            Some(_) | None => None,
        },
        _ => (cfg!(feature = "svg") && is_svg(bytes)).then_some(InputFormat::Svg),
    }
}

/// The name of a format that is recognised and not read here, with its verb-less noun: "HEIC", "a PDF document".
#[must_use]
pub fn refused(bytes: &[u8]) -> Option<&'static str> {
    if let [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] = bytes {
        return Some(match brand.get(..4)? {
            _ if is_heic(brand) => "HEIC",
            b"crx " => "Canon raw",
            _ => "video",
        });
    }
    match bytes {
        [0xFF, 0x4F, 0xFF, 0x51, ..] | [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] => Some("JPEG 2000"),
        [0xFF, 0xD8, 0xFF, ..] => None,
        [b'I', b'I', 0xBC, ..] => Some("JPEG XR"),
        [b'I', b'I', 42, 0, _, _, _, _, b'C', b'R', ..] => Some("Canon raw"),
        [0, 0, 2, 0, _, ..] => Some("CUR"),
        [b'8', b'B', b'P', b'S', ..] => Some("PSD"),
        [b'%', b'P', b'D', b'F', ..] => Some("PDF"),
        [b'%', b'!', b'P', b'S', ..] | [0xC5, 0xD0, 0xD3, 0xC6, ..] => Some("PostScript"),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Some("video"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Some("video"),
        [0x76, 0x2F, 0x31, 0x01, ..] => Some("OpenEXR"),
        [b'D', b'D', b'S', b' ', ..] => Some("DDS"),
        [b'i', b'c', b'n', b's', ..] => Some("ICNS"),
        [b'#', b'?', b'R', b'A', b'D', ..] => Some("Radiance HDR"),
        [b'f', b'a', b'r', b'b', b'f', b'e', b'l', b'd', ..] => Some("farbfeld"),
        [0x1F, 0x8B, ..] => Some("gzip (an SVGZ?)"),
        _ if is_svg(bytes) => Some("SVG"),
        _ => is_wide_svg(bytes).then_some("SVG in UTF-16"),
    }
}

/// Whether a file type box (after its first eight bytes) is that of an AVIF. Where the major brand says only "an image", the
/// compatible brands say which.
fn is_avif(brands: &[u8]) -> bool {
    match brands.get(..4) {
        Some(b"avif" | b"avis") => true,
        Some(b"mif1" | b"msf1") => has_brand(brands, b"avif"),
        Some(_) | None => false,
    }
}

/// Whether a file type box (after its first eight bytes) is that of a HEIC, or of what is like one.
fn is_heic(brands: &[u8]) -> bool {
    let brand = brands.get(..4).unwrap_or_default();
    matches!(brand, b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"hevm" | b"hevs" | b"mif1" | b"msf1")
}

/// Whether a file type box (after its first eight bytes) lists this brand.
fn has_brand(brands: &[u8], wanted: &[u8; 4]) -> bool {
    brands.chunks_exact(4).take(16).any(|brand| brand == wanted)
}

/// Whether the first element of a text is `svg`, with a prefix or without, behind what may stand in front of it: a mark of the encoding,
/// declarations, comments, a document type. All of that in 64 KiB at most.
fn is_svg(bytes: &[u8]) -> bool {
    let head = bytes.get(..64 * 1024).unwrap_or(bytes);
    let mut rest = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let behind =
        |text: &[u8], end: &[u8]| text.windows(end.len()).position(|window| window == end).map(|at| at + end.len());
    loop {
        let skip = match rest {
            [b'<', b'?', ..] => behind(rest, b"?>"),
            [b'<', b'!', b'-', b'-', ..] => behind(rest, b"-->"),
            [b'<', b'!', ..] => document_type(rest),
            [b'<', tag @ ..] => {
                let end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
                let name = tag.split(end).next().unwrap_or_default();
                return name == b"svg" || name.ends_with(b":svg");
            }
            _ => None,
        };
        let Some(skip) = skip else { return false };
        rest = rest.get(skip..).unwrap_or_default().trim_ascii_start();
    }
}

/// The length of a document type: to the `>` that is neither quoted nor between brackets.
fn document_type(text: &[u8]) -> Option<usize> {
    let (mut quote, mut inside) = (None, false);
    let end = text.iter().position(|&byte| {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            (None, b'[') => inside = true,
            (None, b']') => inside = false,
            (None, b'>') => return !inside,
            (None | Some(_), _) => {}
        }
        false
    })?;
    Some(end + 1)
}

/// Whether a text of two bytes a letter is an SVG.
fn is_wide_svg(bytes: &[u8]) -> bool {
    let head = bytes.get(..2048).unwrap_or(bytes);
    let head = head.strip_prefix(b"\xFF\xFE").or(head.strip_prefix(b"\xFE\xFF")).unwrap_or(head);
    [0, 1].into_iter().any(|other| {
        let pairs = head.as_chunks::<2>().0;
        let letters: Vec<u8> = pairs.iter().map(|pair| pair[1 - other]).collect();
        pairs.iter().filter(|pair| pair[other] == 0).count() * 8 >= pairs.len() * 7 && is_svg(&letters)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        assert_eq!(sniff(b"\xFF\xD8\xFF\xE0"), Some(InputFormat::Jpeg));
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n"), Some(InputFormat::Png));
        assert_eq!(sniff(b"RIFF\0\0\0\0WEBPVP8 "), Some(InputFormat::Webp));
        assert_eq!(sniff(b"GIF89a"), Some(InputFormat::Gif));
        assert_eq!(sniff(b"MM\0*\0\0\0\x08"), Some(InputFormat::Tiff));
        assert_eq!(sniff(b"P6\n1 1\n255\n"), Some(InputFormat::Pnm));
        assert_eq!(sniff(b"\0\0\0\x20ftypavif\0\0\0\0"), Some(InputFormat::Avif));
        assert_eq!(sniff(b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif"), Some(InputFormat::Avif));
        let heic = cfg!(feature = "heic").then_some(InputFormat::Heic);
        assert_eq!(sniff(b"\0\0\0\x20ftypmif1\0\0\0\0mif1heic"), heic);
        assert_eq!(sniff(b"\0\0\0\x20ftypheix\0\0\0\0"), heic);
        assert_eq!(sniff(b"\0\0\0\x20ftypmp42\0\0\0\0"), None);
        assert_eq!(sniff(b"\xFF\x0A\0"), Some(InputFormat::Jxl));
        assert_eq!(sniff(b"\0\0\0\x0cJXL \r\n\x87\n"), Some(InputFormat::Jxl));
        assert_eq!(sniff(b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0"), Some(InputFormat::Bmp));
        for other in [&b""[..], b"BM", b"BMW is a car maker of some renown", b"hello", b"GIF88a", b"P6 ", b"RIFF"] {
            assert!(sniff(other).is_none() || other == b"P6 ", "{other:?}");
        }
    }

    #[test]
    fn refusals_have_names() {
        assert_eq!(refused(b"\0\0\0\x20ftypmif1\0\0\0\0mif1heic"), Some("HEIC"));
        assert_eq!(refused(b"\0\0\0\x18ftypmp42"), Some("video"));
        assert_eq!(refused(b"%PDF-1.7"), Some("PDF"));
        assert_eq!(refused(b"\x1F\x8B\x08"), Some("gzip (an SVGZ?)"));
    }

    #[test]
    fn an_svg_is_known_by_its_first_element() {
        let comment = format!("<!-- {} <html> -->", "long ".repeat(1000));
        let doctype = "<!DOCTYPE svg PUBLIC \"-//W3C//DTD > SVG 1.1//EN\" 'x' [ <!ENTITY a \"]>\"> <!ENTITY b 'c'> ] >";
        for text in [
            "<svg>",
            "<svg",
            "\u{FEFF} \n<svg xmlns='http://www.w3.org/2000/svg'/>",
            "<?xml version='1.0'?>\n<!-- x -->\n<svg xmlns=",
            &format!("{comment}{comment}<svg>"),
            &format!("<?xml version='1.0'?>{doctype}<!-- <p> --><?xml-stylesheet href='a'?><svg/>"),
            "<s:svg xmlns:s='http://www.w3.org/2000/svg'>",
        ] {
            assert!(is_svg(text.as_bytes()), "{text}");
            assert_eq!(sniff(text.as_bytes()), cfg!(feature = "svg").then_some(InputFormat::Svg));
            assert_eq!(refused(text.as_bytes()), Some("SVG"));
            for order in [u16::to_le_bytes, u16::to_be_bytes] {
                let wide: Vec<u8> = text.encode_utf16().take(900).flat_map(order).collect();
                let marked: Vec<u8> = "\u{FEFF}".encode_utf16().flat_map(order).chain(wide.iter().copied()).collect();
                if text.len() < 900 && !text.starts_with('\u{FEFF}') {
                    assert_eq!((sniff(&wide), refused(&wide)), (None, Some("SVG in UTF-16")), "{text}");
                    assert_eq!((sniff(&marked), refused(&marked)), (None, Some("SVG in UTF-16")), "{text}");
                }
            }
        }
        for text in [
            "<html>",
            "<html><svg>",
            "a text about <svg",
            "<!-- <svg>",
            "<svgs>",
            "<?xml?>",
            "<",
            "",
            "<!DOCTYPE html><html>",
        ] {
            assert_eq!((sniff(text.as_bytes()), refused(text.as_bytes())), (None, None), "{text}");
        }
    }
}
