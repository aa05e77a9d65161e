//! A client that leaves the choice of the format to the server.

use image::{DynamicImage, ImageFormat};

use crate::{
    app::App,
    client::Answer,
    pictures::{animated_gif, decoded, encoded, half_invisible, jpeg, png},
};

/// What Chromium says.
const BROWSER: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

async fn auto(app: &App, file: &str, accept: &str) -> Answer {
    let path = format!("/image/process.auto?src={file}&thumbnail=120");
    app.get_with(&path, &[("accept", accept)]).await
}

#[tokio::test]
async fn the_format_is_one_that_the_client_takes() {
    let app = App::with(|config| config.avif_budget = std::time::Duration::from_secs(20)).await;
    let photo = app.upload(&jpeg(1, 400, 300)).await;
    let clear = app.upload(&encoded(&half_invisible(150), ImageFormat::Png)).await;
    let solid =
        app.upload(&encoded(&DynamicImage::ImageRgb8(crate::pictures::photo(1, 150, 90)), ImageFormat::Png)).await;
    let moving = app.upload(&animated_gif(&[[255, 0, 0], [0, 0, 255]], 40, 30)).await;
    for (uploaded, accept, wanted) in [
        (&photo, "*/*", &["image/jpeg"][..]),
        (&photo, "image/webp,*/*", &["image/webp", "image/jpeg"]),
        (&photo, BROWSER, &["image/avif", "image/webp"]),
        (&clear, "*/*", &["image/png"]),
        (&clear, "image/webp", &["image/webp", "image/png"]),
        (&solid, "text/html", &["image/jpeg"]),
        (&moving, "*/*", &["image/gif"]),
        (&moving, BROWSER, &["image/webp", "image/gif"]),
    ] {
        let answer = auto(&app, &uploaded.file, accept).await;
        let media_type = answer.header("content-type").to_owned();
        assert!(wanted.contains(&&*media_type), "{accept}: {media_type}");
        answer.is_image(&media_type);
        assert_eq!(answer.header("vary"), "accept");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_file_is_no_larger_than_the_next_best() {
    let app = App::with(|config| config.avif_budget = std::time::Duration::from_secs(20)).await;
    for picture in [jpeg(1, 300, 200), png(5, 3, 2), encoded(&half_invisible(90), ImageFormat::Png)] {
        let uploaded = app.upload(&picture).await;
        for accept in ["image/webp", BROWSER] {
            let chosen = auto(&app, &uploaded.file, accept).await;
            let extensions = if accept == BROWSER { ["avif", "webp"] } else { ["webp", "jpg"] };
            for extension in extensions {
                let other = app.process(extension, &uploaded.file, "thumbnail=120").await;
                let is_png = chosen.header("content-type") == "image/png";
                assert!(chosen.body.len() <= other.body.len() || is_png, "{accept} {extension}");
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn it_is_the_variant_of_that_format_with_its_validators() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 400, 300)).await;
    let chosen = auto(&app, &uploaded.file, "*/*").await;
    let plain = app.process("jpg", &uploaded.file, "thumbnail=120").await;
    assert_eq!((chosen.header("etag"), &chosen.body), (plain.header("etag"), &plain.body));
    let path = format!("/image/process.auto?src={}&thumbnail=120", uploaded.file);
    let again = app.get_with(&path, &[("if-none-match", plain.header("etag"))]).await;
    again.is(304);
    assert_eq!(again.header("vary"), "accept");
    // Unchanged, the original itself is the smallest there is.
    let path = format!("/image/process.auto?src={}", uploaded.file);
    let whole = app.get(&path).await;
    assert_eq!(whole.body, app.original(&uploaded.file).await.body);
    assert_eq!(decoded(&whole.body).width(), 400);
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_as_ever() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 30, 20)).await;
    let unknown = app.get("/image/process.auto?src=nothere.png&thumbnail=x").await;
    unknown.error(404);
    let said = app.get(&format!("/image/process.auto?src={}&thumbnail=x", uploaded.file)).await.error(400);
    assert!(said.contains("thumbnail=x cannot be read"), "{said}");
    app.get("/image/process.auto?thumbnail=9").await.error(404);
    app.send("POST", &format!("/image/process.auto?src={}", uploaded.file)).await.error(405);
    app.stop().await;
}
