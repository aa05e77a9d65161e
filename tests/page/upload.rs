//! Pictures are chosen, dropped and pasted, and deleted again.

use std::time::Duration;

use image::ImageFormat;
use serde_json::{Value, json};
use thirtyfour::Key;

use crate::{browser::Page, landscape::picture};

/// A file on the page, as a drop or the clipboard brings it: `given` is its name, its type and its bytes.
const FILE: &str = "(() => { const transfer = new DataTransfer(); \
    transfer.items.add(new File([new Uint8Array(given[2])], given[0], { type: given[1] })); return transfer; })()";

/// The names of the pictures in the list, the last one first.
async fn cards(page: &Page) -> Vec<String> {
    let names = page.js("[...document.querySelectorAll('#mine .card')].map((card) => card.dataset.file)").await;
    serde_json::from_value(names).unwrap()
}

async fn has_cards(page: &Page, count: usize) -> Vec<String> {
    page.until(&format!("document.querySelectorAll('#mine .card').length === {count}")).await;
    cards(page).await
}

#[tokio::test]
async fn files_are_sent_with_progress_and_stay_in_the_list() {
    let Some(page) = Page::open("#upload").await else { return };
    page.says("#mine-about", "Nothing yet").await;
    let files = [
        page.file("hills.png", &picture(1, 700, 500, ImageFormat::Png)),
        page.file("two.jpg", &picture(2, 300, 400, ImageFormat::Jpeg)),
    ];
    // Slow enough to be looked at while it goes on.
    let slow = json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 60_000 });
    page.devtools("Network.enable", json!({})).await;
    page.devtools("Network.emulateNetworkConditions", slow).await;
    page.keys("#files", files.join("\n")).await;
    let part = page.until("[...document.querySelectorAll('.upload progress')].map((bar) => bar.value).find((value) => value > 0 && value < 100)").await;
    page.says(".upload .quiet", " of ").await;
    page.picture("upload-under-way").await;
    let further = format!(
        "[...document.querySelectorAll('.upload progress')].some((bar) => bar.value > {part} || !bar.hasAttribute('value'))"
    );
    page.until(&further).await;
    let fast = json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
    page.devtools("Network.emulateNetworkConditions", fast).await;

    let names = has_cards(&page, 2).await;
    assert_eq!(page.js("document.querySelectorAll('.upload').length").await, json!(0), "what is done leaves the queue");
    for name in &names {
        page.server.original(name).await;
        let card = format!(".card[data-file=\"{name}\"]");
        page.until(&format!("document.querySelector('{card} img').naturalWidth > 0")).await;
        let shown = page.says(&card, name).await;
        assert!(shown.contains("Delete token") && shown.contains("KiB"), "{shown}");
    }
    page.says("#live", " is stored as ").await;

    page.refresh().await.unwrap();
    assert_eq!(has_cards(&page, 2).await, names, "kept by the browser");
    page.says("#mine-about", "whoever uses this browser can").await;
    page.click("#mine-clear").await;
    assert_eq!(cards(&page).await.len(), 2, "it takes two presses");
    page.click("#mine-clear").await;
    has_cards(&page, 0).await;
    page.server.original(&names[0]).await;
    page.close().await;
}

#[tokio::test]
async fn pictures_are_dropped_and_pasted_anywhere() {
    let Some(page) = Page::open("#upload").await else { return };
    let dropped = json!(["dropped.png", "image/png", picture(3, 80, 60, ImageFormat::Png)]);
    let drag = |kind: &str| {
        format!(
            "document.body.dispatchEvent(new DragEvent('{kind}', {{ dataTransfer: {FILE}, bubbles: true, cancelable: true }}))"
        )
    };
    page.js_with(&drag("dragenter"), dropped.clone()).await;
    page.says("#veil", "Drop to upload").await;
    // What is not cancelled the browser would open in the place of the page.
    assert_eq!(page.js_with(&drag("dragover"), dropped.clone()).await, json!(false));
    assert_eq!(page.js_with(&drag("drop"), dropped).await, json!(false));
    page.until("document.getElementById('veil').hidden").await;
    has_cards(&page, 1).await;

    let pasted = json!(["image.png", "image/png", picture(4, 80, 60, ImageFormat::Png)]);
    let paste = format!(
        "document.body.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData: {FILE}, bubbles: true, cancelable: true }}))"
    );
    page.js_with(&paste, pasted).await;
    let names = has_cards(&page, 2).await;
    page.server.original(&names[0]).await;

    // Whoever drops a picture into the playground wants to see it there.
    page.go("#playground").await;
    let another = json!(["third.png", "image/png", picture(5, 90, 60, ImageFormat::Png)]);
    page.js_with(&drag("drop"), another).await;
    let source = page.until(&format!("!['', '{}', '{}'].includes(document.getElementById('source').value) && document.getElementById('source').value", names[0], names[1])).await;
    page.until("document.querySelector('#fact-bytes')").await;
    page.server.original(source.as_str().unwrap()).await;
    page.close().await;
}

#[tokio::test]
async fn what_cannot_be_stored_says_why() {
    let Some(mut page) = Page::open("#upload").await else { return };
    page.expect("status of 400");
    let good = picture(6, 64, 48, ImageFormat::Png);
    let files = [
        page.file("broken.jpg", b"not a picture at all"),
        page.file("cut.png", &good[..good.len() / 2]),
        page.file("good.png", &good),
    ];
    page.keys("#files", files.join("\n")).await;
    has_cards(&page, 1).await;
    page.until("document.querySelectorAll('.upload.failed').length === 2").await;
    let first = page.says(".upload.failed:nth-of-type(1)", "Request ").await;
    let expected =
        page.server.post(crate::form::Form::new().file("broken.jpg", b"not a picture at all")).await.error(400);
    assert!(first.to_lowercase().contains(&expected.to_lowercase()), "{first} has not {expected}");
    page.picture("upload-failed").await;

    // It is the same file, so it fails again; then it is put away.
    page.click(".upload.failed .button").await;
    page.until("document.querySelectorAll('.upload.failed').length === 2").await;
    page.click(".upload.failed:nth-of-type(1) .button:nth-of-type(2)").await;
    page.until("document.querySelectorAll('.upload').length === 1").await;

    page.write("#url", "ftp://example.org/a.png").await;
    page.click("#by-url button").await;
    page.says("#url-error", "ftp://example.org/a.png").await;
    page.write("#url", &page.address("image/original/x.png")).await;
    page.click("#by-url button").await;
    page.says("#url-error", "private").await;
    page.close().await;
}

#[tokio::test]
async fn a_picture_is_deleted_from_its_card_and_by_hand() {
    let Some(mut page) = Page::open("#upload").await else { return };
    for status in [403, 404] {
        page.expect(&format!("status of {status}"));
    }
    page.keys("#files", page.file("mine.png", &picture(7, 64, 48, ImageFormat::Png))).await;
    let name = has_cards(&page, 1).await.remove(0);
    page.click(".card .danger").await;
    page.server.original(&name).await;
    page.keys(".card .sure", Key::Escape).await;
    page.until("!document.querySelector('.card .sure')").await;
    page.click(".card .danger").await;
    page.click(".card .sure").await;
    has_cards(&page, 0).await;
    page.server.get(&format!("/image/original/{name}")).await.error(404);

    let other = page.server.upload(&picture(8, 64, 48, ImageFormat::Png)).await;
    page.click("#by-hand summary").await;
    page.click("#delete button").await;
    page.says("#delete-result", "The name is empty").await;
    page.write("#delete-file", &other.file).await;
    page.write("#delete-token", "wrongtoken").await;
    page.click("#delete button").await;
    let told = page.says("#delete-result.error", "token").await;
    let expected = page.server.send("DELETE", &format!("/image/delete/wrongtoken/{}", other.file)).await.error(403);
    assert!(told.to_lowercase().contains(&expected.to_lowercase()), "{told} has not {expected}");
    page.server.original(&other.file).await;
    page.picture("delete-refused").await;
    page.write("#delete-token", &other.delete_token).await;
    page.click("#delete button").await;
    page.says("#delete-result.good", "is deleted").await;
    page.server.get(&format!("/image/original/{}", other.file)).await.error(404);
    page.close().await;
}

#[tokio::test]
async fn a_list_that_another_tab_or_nobody_wrote_does_no_harm() {
    let Some(page) = Page::open("#upload").await else { return };
    for broken in ["not json", "{}", "[null, 3, {\"file\": 4}, {}]"] {
        page.js_with("localStorage.setItem('glimt.uploads', given)", Value::from(broken)).await;
        page.refresh().await.unwrap();
        page.says("#mine-about", "Nothing yet").await;
    }
    // A name with marks of HTML is a name.
    page.js(r#"localStorage.setItem('glimt.uploads', JSON.stringify([{ file: '"><img src=x onerror=alert(1)>.png', name: '<b>x</b>', token: null }]))"#).await;
    page.refresh().await.unwrap();
    page.says(".card", "<b>x</b>").await;
    assert_eq!(page.js("document.querySelectorAll('.card b').length").await, json!(0));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut page = page;
    page.expect("status of 404");
    page.close().await;
}
