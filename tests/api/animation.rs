//! Animations stay animations through every filter, in every format that moves.

use std::io::Cursor;

use image::{AnimationDecoder, Frame, codecs};
use tempfile::TempDir;

use crate::{
    app::App,
    binary::Running,
    pictures::{self, decoded},
};

const COLOURS: [[u8; 3]; 3] = [[250, 10, 10], [10, 250, 10], [10, 10, 250]];

/// Formats that move, and their media types.
const MOVING: [(&str, &str); 3] = [("gif", "image/gif"), ("webp", "image/webp"), ("apng", "image/apng")];

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let cursor = Cursor::new(bytes);
    let frames = match bytes {
        [b'G', ..] => codecs::gif::GifDecoder::new(cursor).unwrap().into_frames(),
        [b'R', ..] => codecs::webp::WebPDecoder::new(cursor).unwrap().into_frames(),
        _ => codecs::png::PngDecoder::new(cursor).unwrap().apng().unwrap().into_frames(),
    };
    frames.map(Result::unwrap).collect()
}

#[tokio::test]
async fn what_moves_goes_on_moving_through_resize_and_blur() {
    let app = App::start().await;
    for animation in [pictures::animated_gif(&COLOURS, 40, 20), pictures::animated_webp(&COLOURS, 40, 20)] {
        let uploaded = app.upload(&animation).await;
        for (ext, media_type) in MOVING {
            for (filters, size) in [("thumbnail=20", (20, 10)), ("blur=2.0", (40, 20)), ("", (40, 20))] {
                let answer = app.process(ext, &uploaded.file, filters).await;
                assert_eq!(answer.header("content-type"), media_type);
                let frames = frames(&answer.body);
                assert_eq!(frames.len(), 3, "{ext} {filters}");
                for (frame, want) in frames.iter().zip(COLOURS) {
                    assert_eq!(frame.buffer().dimensions(), size, "{ext} {filters}");
                    let [r, g, b, a] = frame.buffer().get_pixel(10, 5).0;
                    let near = [r, g, b].iter().zip(want).all(|(got, want)| got.abs_diff(want) < 12);
                    assert!(near && a == 255, "{ext} {filters}: {:?} for {want:?}", [r, g, b, a]);
                }
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn an_animation_asked_for_as_it_is_is_the_original() {
    let app = App::start().await;
    for (ext, animation) in
        [("gif", pictures::animated_gif(&COLOURS, 40, 20)), ("webp", pictures::animated_webp(&COLOURS, 40, 20))]
    {
        let uploaded = app.upload(&animation).await;
        assert_eq!(app.process(ext, &uploaded.file, "").await.body, animation, "{ext}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_still_picture_is_one_frame_of_what_could_move() {
    let app = App::start().await;
    let uploaded = app.upload(&pictures::png(3, 60, 40)).await;
    for (ext, media_type) in MOVING {
        let answer = app.process(ext, &uploaded.file, "thumbnail=30").await;
        assert_eq!(answer.header("content-type"), media_type);
        let picture = decoded(&answer.body);
        assert_eq!((picture.width(), picture.height()), (30, 20), "{ext}");
    }
    app.stop().await;
}

/// 250 frames of 500 pixels are 250 MB: held together they would show.
#[tokio::test]
async fn many_frames_are_never_held_together() {
    let colours: Vec<[u8; 3]> = (0..250_u8).map(|at| [at, 255 - at, 128]).collect();
    let animation = pictures::animated_gif(&colours, 500, 500);
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |command| {
        command.args(["--max-frames", "250", "--max-animation-pixels", "70"]);
    })
    .await;
    let uploaded = server.upload(&animation).await;
    let before = server.peak_bytes();
    for (ext, _) in MOVING {
        let answer = server.process(ext, &uploaded.file, "thumbnail=400").await;
        assert_eq!(frames(&answer.body).len(), 250, "{ext}");
    }
    let grown = server.peak_bytes() - before;
    assert!(grown < 60_000_000, "{grown} bytes more at the peak than after the upload");
    server.stop().await;
}
