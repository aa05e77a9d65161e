//! SVG: what is drawn, at which size, in which colours; and that no browser ever gets one.

use glimt::{
    codec::{self, Budget, CodecError, InputFormat, sniff},
    domain::{Format, OutputFormat},
    pixels::{Layout, Pixmap},
};
use tempfile::TempDir;

use crate::{binary::Running, client::is_alias};

/// A drawing with these attributes and this inside.
fn svg(attributes: &str, inside: &str) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' {attributes}>{inside}</svg>"
    )
}

fn drawn(text: &str) -> Pixmap {
    codec::decode(text.as_bytes(), &Budget::default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refused(text: &str) -> String {
    codec::decode(text.as_bytes(), &Budget::default())
        .map(|picture| (picture.width(), picture.height()))
        .unwrap_err()
        .to_string()
}

/// Channels of a pixel.
fn at(picture: &Pixmap, x: u32, y: u32) -> &[u8] {
    let channels = picture.layout().channels();
    let start = (y as usize * picture.width() as usize + x as usize) * channels;
    &picture.data()[start..start + channels]
}

#[test]
fn shapes_have_their_colours_and_their_places() {
    let picture = drawn(&svg(
        "width='40' height='20'",
        "<rect width='40' height='20' fill='#fff'/><rect x='10' width='10' height='10' fill='#c02040'/>
         <circle cx='30' cy='10' r='6' style='fill:rgb(0,128,255)'/>",
    ));
    assert_eq!((picture.width(), picture.height(), picture.layout()), (40, 20, Layout::Rgb));
    assert_eq!(at(&picture, 5, 5), [255, 255, 255]);
    assert_eq!(at(&picture, 10, 0), [0xC0, 0x20, 0x40]);
    assert_eq!(at(&picture, 19, 9), [0xC0, 0x20, 0x40]);
    assert_eq!(at(&picture, 20, 9), [255, 255, 255]);
    assert_eq!(at(&picture, 30, 10), [0, 128, 255]);
}

/// A straight edge through the middle of pixels, and a colour that is half seen through: alpha is coverage, and colour is not darkened.
#[test]
fn what_shows_through_has_straight_alpha() {
    let picture =
        drawn(&svg("width='4' height='2'", "<rect width='1.5' height='2' fill='#ff8000' fill-opacity='0.5'/>"));
    assert_eq!(picture.layout(), Layout::Rgba);
    let [whole, half] = [at(&picture, 0, 0), at(&picture, 1, 0)];
    assert!(whole[0] == 255 && whole[1].abs_diff(128) <= 1 && whole[3].abs_diff(128) <= 1, "{whole:?}");
    assert!(half[0] >= 252 && half[1].abs_diff(128) <= 3 && half[3].abs_diff(64) <= 2, "{half:?}");
    assert_eq!(at(&picture, 3, 1), [0, 0, 0, 0]);
}

/// Gradients, patterns, masks, clips, markers, `use`, style sheets and filters: each fills the left of 20 pixels with green.
#[test]
fn references_are_followed() {
    let green = [0, 128, 0, 255];
    let half = "<rect width='10' height='20' fill='green'/>";
    for (name, inside) in [
        ("use", format!("<defs><g id='a'>{half}</g></defs><use xlink:href='#a'/>")),
        ("symbol", format!("<symbol id='a' viewBox='0 0 20 20'>{half}</symbol><use href='#a' width='20' height='20'/>")),
        ("gradient", "<linearGradient id='a' x2='1'><stop offset='.5' stop-color='green'/><stop offset='.5' stop-color='green' stop-opacity='0'/>\
            </linearGradient><rect width='20' height='20' fill='url(#a)'/>".to_owned()),
        ("pattern", format!("<pattern id='a' width='1' height='1' patternContentUnits='userSpaceOnUse'>{half}</pattern><rect width='20' height='20' fill='url(#a)'/>")),
        ("clip", format!("<clipPath id='a'>{half}</clipPath><rect width='20' height='20' fill='green' clip-path='url(#a)'/>")),
        ("mask", "<mask id='a'><rect width='10' height='20' fill='white'/></mask><rect width='20' height='20' fill='green' mask='url(#a)'/>".to_owned()),
        ("marker", "<marker id='a' markerWidth='20' markerHeight='20' overflow='visible' markerUnits='userSpaceOnUse'><rect width='10' height='20' fill='green'/></marker>\
            <path d='M0 0h1' marker-start='url(#a)'/>".to_owned()),
        ("style", "<style>.a > rect:first-child { fill: green }</style><g class='a'><rect width='10' height='20' fill='red'/></g>".to_owned()),
        ("filter", "<filter id='a' x='0' y='0' width='1' height='1'><feFlood flood-color='green'/></filter><rect width='10' height='20' filter='url(#a)'/>".to_owned()),
        ("entity", half.to_owned()),
    ] {
        let mut text = svg("width='20' height='20'", &inside);
        if name == "entity" {
            text = format!("<!DOCTYPE svg [<!ENTITY leaf 'green'>]>{}", text.replace("green", "&leaf;"));
        }
        let picture = drawn(&text);
        assert_eq!((at(&picture, 4, 10), at(&picture, 15, 10)), (&green[..], &[0; 4][..]), "{name}");
    }
}

#[test]
fn the_size_is_its_own() {
    let size = |attributes: &str| {
        let picture = drawn(&svg(attributes, "<rect x='3' y='2' width='27' height='16' fill='red'/>"));
        (picture.width(), picture.height())
    };
    for (attributes, want) in [
        ("width='40' height='20'", (40, 20)),
        ("width='1in' height='25.4mm'", (96, 96)),
        ("width='40.4' height='20.6'", (40, 21)),
        // With one side the view box gives the other.
        ("width='40' viewBox='0 0 10 5'", (40, 20)),
        ("height='40' viewBox='0 0 10 5'", (80, 40)),
        // Proportions without a size.
        ("viewBox='0 0 24 24'", (1024, 1024)),
        ("viewBox='0 0 8000 2000' width='100%' height='100%'", (1024, 256)),
        ("viewBox='0 0 5000 1'", (1024, 1)),
        // Neither: what is drawn.
        ("", (30, 18)),
        // Tiny ones stay so, and are a pixel at least.
        ("width='16' height='16'", (16, 16)),
        ("width='0.1' height='0.3'", (1, 1)),
    ] {
        assert_eq!(size(attributes), want, "{attributes}");
    }
    assert!(refused(&svg("width='0' height='10'", "")).contains("it has no size"));
    assert!(refused(&svg("width='-4' height='10'", "")).contains("it has no size"));
}

#[test]
fn sizes_past_the_budget_are_refused_before_anything_is_drawn() {
    let large = refused(&svg("width='9000' height='9000'", "<rect width='1' height='1'/>"));
    assert!(large.contains("9000 by 9000, 81000000 pixels: at most 40000000"), "{large}");
    let long = refused(&svg("width='70000' height='1'", "<rect width='1' height='1'/>"));
    assert!(long.contains("70000 pixels long: at most 65535"), "{long}");
    for width in ["1e30", "1e300", "inf", "nan", "99999999999999999999999999999999999999999999"] {
        let text = svg(&format!("width='{width}' height='10'"), "<rect width='1' height='1'/>");
        match codec::decode(text.as_bytes(), &Budget::default()) {
            Ok(picture) => assert!(picture.width() <= 1024, "{width}: {}", picture.width()),
            Err(error) => assert!(!matches!(error, CodecError::Panicked { .. }), "{width}: {error}"),
        }
    }
}

#[test]
fn what_cannot_be_drawn_whole_is_refused_by_name() {
    for (inside, message) in [
        (
            "<text y='9'>hello</text>",
            "SVG with text (there are no fonts here; text can be made paths) is not supported",
        ),
        (
            "<image href='https://example.com/a.png' width='9' height='9'/>",
            "SVG with a picture inside is not supported",
        ),
        ("<image xlink:href='file:///etc/passwd' width='9' height='9'/>", "SVG with a picture inside is not supported"),
        (
            "<image href='data:image/png;base64,iVBORw0KGgo=' width='9' height='9'/>",
            "SVG with a picture inside is not supported",
        ),
        ("<use href='http://127.0.0.1/a.svg#b'/>", "SVG that needs other files is not supported"),
        (
            "<foreignObject><p xmlns='http://www.w3.org/1999/xhtml'>a</p></foreignObject>",
            "SVG with a foreign object inside is not supported",
        ),
    ] {
        assert_eq!(refused(&svg("width='9' height='9'", inside)), message);
    }
    for (bytes, message) in [
        (
            "\u{FEFF}<svg width='9'/>".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
            "SVG in UTF-16 is not supported",
        ),
        (b"\x1F\x8B\x08\0\0\0\0\0".to_vec(), "gzip (an SVGZ?) is not supported"),
        (b"<svg width='9' height='9'>\xE9</svg>".to_vec(), "SVG that is not in UTF-8 is not supported"),
    ] {
        assert_eq!(codec::decode(&bytes, &Budget::default()).unwrap_err().to_string(), message);
    }
}

/// Scripts and what they would do are no part of the picture.
#[tokio::test]
async fn an_svg_is_stored_as_a_png_and_never_served() {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |_defaults| {}).await;
    let text = svg(
        "width='60' height='30' onload='alert(1)'",
        "<script>alert(2)</script><metadata>SECRET</metadata><rect width='30' height='30' fill='#123456'/>",
    );
    let uploaded = server.upload(text.as_bytes()).await;
    assert!(is_alias(&uploaded.file, "png"), "{}", uploaded.file);
    let answer = server.original(&uploaded.file).await;
    answer.is_image("image/png");
    assert!(!answer.body.windows(6).any(|window| window == b"SECRET" || window == b"script"));
    let picture = image::load_from_memory(&answer.body).unwrap().into_rgba8();
    assert_eq!(picture.dimensions(), (60, 30));
    assert_eq!((picture.get_pixel(10, 10).0, picture.get_pixel(50, 10).0), ([0x12, 0x34, 0x56, 255], [0; 4]));
    let thumbnail = server.process("jpg", &uploaded.file, "thumbnail=20").await;
    assert_eq!(image::load_from_memory(&thumbnail.body).unwrap().into_rgb8().dimensions(), (20, 10));
    server.stop().await;
}

#[test]
fn ingest_makes_what_is_asked_for() {
    let text = svg("width='60' height='30'", "<rect width='60' height='30' fill='#123456'/>").into_bytes();
    assert_eq!(sniff(&text), Some(InputFormat::Svg));
    let budget = Budget::default();
    for (convert, format) in
        [(None, Format::Png), (Some(OutputFormat::Webp), Format::Webp), (Some(OutputFormat::Jpg), Format::Jpg)]
    {
        let ingested = codec::ingest(text.clone(), convert, &budget).unwrap();
        assert_eq!((ingested.details.format, ingested.details.width, ingested.details.height), (format, 60, 30));
    }
    assert_eq!(codec::accept(text.clone(), &budget).unwrap().details.format, Format::Png);
    assert_eq!(codec::peak_bytes(&text), Ok(256 << 20));
    let late = Budget { deadline: Some(std::time::Instant::now()), ..budget };
    assert_eq!(codec::decode(&text, &late), Err(CodecError::TimedOut));
    let small = Budget { max_memory_bytes: 5000, ..budget };
    assert!(matches!(codec::decode(&text, &small), Err(CodecError::TooMuchMemory { max: 5000, .. })));
}
