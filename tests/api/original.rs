//! A user looks at what was uploaded: the stored bytes, under any spelling of the path.

use image::ImageFormat;

use crate::{
    app::App,
    pictures::{self, encoded, jpeg, photo, png},
    raw,
};

#[tokio::test]
async fn each_format_is_served_as_what_it_is() {
    let app = App::start().await;
    let picture = photo(1, 40, 30);
    let still = encoded(&picture.clone().into(), ImageFormat::Gif);
    let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
    for (bytes, media_type) in [
        (jpeg(1, 40, 30), "image/jpeg"),
        (png(1, 40, 30), "image/png"),
        (encoded(&picture.clone().into(), ImageFormat::WebP), "image/webp"),
        (pictures::webp_lossy(&picture), "image/webp"),
        (still, "image/gif"),
        (pictures::animated_gif(&colours, 9, 8), "image/gif"),
        (pictures::animated_webp(&colours, 9, 8), "image/webp"),
    ] {
        let uploaded = app.upload(&bytes).await;
        let answer = app.original(&uploaded.file).await;
        answer.is_image(media_type);
        assert_eq!(answer.body, bytes, "{media_type}: not the bytes that came");
    }
    assert_eq!(app.stored().originals().len(), 7);
    app.stop().await;
}

#[tokio::test]
async fn a_doubled_slash_in_front_is_the_same_path() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let single = app.original(&uploaded.file).await;
    let double = app.get(&format!("//image/original/{}", uploaded.file)).await;
    assert_eq!((double.status, &double.body), (200, &single.body));
    app.get(&format!("//image/process.png?src={}", uploaded.file)).await.is_image("image/png");
    app.stop().await;
}

#[tokio::test]
async fn a_name_may_be_percent_encoded() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let encoded: String = uploaded.file.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let line = format!("GET /image/original/{encoded} HTTP/1.1");
    raw::ask(app.port, line.as_bytes()).await.is_image("image/png");
    app.stop().await;
}

#[tokio::test]
async fn nobody_reads_what_is_not_a_picture_of_ours() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    std::fs::write(app.data().join("outside.png"), b"not for you").unwrap();
    for path in [
        "/image/original/unknown.png".to_owned(),
        "/image/original/".to_owned(),
        "/image/original".to_owned(),
        format!("/image/original/{}", uploaded.file.replace(".png", ".PNG")),
        format!("/image/original/{}", uploaded.file.replace(".png", ".jpg")),
        format!("/image/original/{}/", uploaded.file),
        format!("/image/original/{}/x", uploaded.file),
        format!("/image/original/x/{}", uploaded.file),
        format!("/image/original/{}%00", uploaded.file),
        format!("/image/original/{}%20", uploaded.file),
        format!("/image/original/{}", uploaded.delete_token),
        "/image/original/..".to_owned(),
        "/image/original/../../outside.png".to_owned(),
        "/image/original/..%2f..%2foutside.png".to_owned(),
        "/image/original/%2e%2e%2foutside.png".to_owned(),
        "/image/original/..%5c..%5coutside.png".to_owned(),
        format!("/image/original/..%2foriginals%2f{}", uploaded.file),
        "/image/original/%2fetc%2fpasswd".to_owned(),
        "/image/original/a%00b".to_owned(),
        "/image/original/%ff%fe.png".to_owned(),
        "/image/original/%c3%28".to_owned(),
        "/image/original/%".to_owned(),
        "/image/original/%zz".to_owned(),
        format!("/image/original/{}", "a".repeat(8000)),
    ] {
        let answer = raw::ask(app.port, format!("GET {path} HTTP/1.1").as_bytes()).await;
        // A path that is not UTF-8 names nothing: not found, or a bad request; the same for a broken escape.
        let statuses: &[u16] = if path.contains("%ff") || path.contains("%c3") { &[400, 404] } else { &[404] };
        assert!(statuses.contains(&answer.status), "{path}: {} {}", answer.status, answer.shown());
        answer.error_in(statuses);
    }
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn the_name_may_stand_in_the_query_as_later_clients_have_it() {
    let app = App::start().await;
    let picture = jpeg(1, 60, 40);
    let uploaded = app.upload(&picture).await;
    let path = format!("/image/original?alias={}", uploaded.file);
    for _ in 0..2 {
        let answer = app.get(&path).await;
        answer.is_image("image/jpeg");
        assert_eq!(answer.body, picture);
    }
    let head = app.send("HEAD", &path).await;
    head.is(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), picture.len().to_string());
    app.get_with(&path, &[("Range", "bytes=0-9")]).await.is(206);
    app.get_with(&path, &[("If-None-Match", head.header("etag"))]).await.is(304);
    app.get("/image/original?alias=nothere.png").await.error(404);
    app.get("/image/original?alias=").await.error(404);
    app.get("/image/original?neither=a.png").await.error(404);
    app.send("DELETE", &path).await.error(405);

    let variant = app.process("webp", &uploaded.file, "thumbnail=20").await.body;
    for query in ["alias=FILE&thumbnail=20", "thumbnail=20&alias=FILE", "alias=nothere.png&src=FILE&thumbnail=20"] {
        let path = format!("/image/process.webp?{}", query.replace("FILE", &uploaded.file));
        let answer = app.get(&path).await;
        answer.is_image("image/webp");
        assert_eq!(answer.body, variant, "{path}");
    }
    app.get("/image/process.webp?alias=nothere.png").await.error(404);
    app.get("/image/process.webp?thumbnail=20").await.error(404);
    let refused = app.get(&format!("/image/process.jxl?alias={}", uploaded.file)).await;
    assert!(refused.error(400).contains("\"jxl\""), "{}", refused.shown());
    app.delete(&uploaded).await;
    app.get(&path).await.error(404);
    app.get(&format!("/image/process.webp?alias={}&thumbnail=20", uploaded.file)).await.error(404);
    app.stop().await;
}
