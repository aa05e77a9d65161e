//! The operator's view: behind the key, and true.

use image::ImageFormat;
use serde_json::json;

use crate::{
    browser::{KEY, Page},
    landscape::picture,
};

#[tokio::test]
async fn only_the_key_opens_it() {
    let Some(mut page) = Page::open("#operator").await else { return };
    page.expect("status of 401");
    assert_eq!(page.js("document.getElementById('dashboard').checkVisibility()").await, json!(false));
    page.click("#key-form button").await;
    page.says("#key-error", "The key is empty").await;
    page.write("#key", "a wrong key").await;
    page.click("#key-form button").await;
    page.says("#key-error", "Invalid API Key").await;
    page.picture("operator-wrong-key").await;
    assert_eq!(page.js("sessionStorage.length").await, json!(0), "a wrong key is not kept");
    page.write("#key", KEY).await;
    page.click("#key-form button").await;
    page.says("#operator-state", "Live").await;
    page.says("#block-server", &format!("glimt {}", env!("CARGO_PKG_VERSION"))).await;
    assert_eq!(page.js("document.activeElement.id").await, json!("operator-title"));
    assert_eq!(page.js("JSON.stringify(localStorage).includes('an api key')").await, json!(false));

    page.refresh().await.unwrap();
    page.says("#operator-state", "Live").await;
    page.click("#operator-leave").await;
    page.until("document.getElementById('key-form').checkVisibility() && !document.getElementById('dashboard').checkVisibility()").await;
    assert_eq!(page.js("sessionStorage.length").await, json!(0));
    page.refresh().await.unwrap();
    page.until("document.getElementById('key-form').checkVisibility()").await;
    page.close().await;
}

#[tokio::test]
async fn it_shows_what_is_stored_what_was_found_and_what_went_wrong() {
    let Some(page) = Page::open("#upload").await else { return };
    let stored = page.server.upload(&picture(1, 900, 600, ImageFormat::Jpeg)).await;
    for _ in 0..4 {
        page.server.get(&format!("/image/process.png?src={}&thumbnail=64", stored.file)).await.is(200);
    }
    let refused = page.server.get(&format!("/image/process.png?src={}&thumbnail=abc", stored.file)).await;
    refused.error(400);
    let secret = page.server.get("/image/delete/s3cr3t%FF/x.png").await;
    secret.error(400);

    page.go("#operator").await;
    page.write("#key", KEY).await;
    page.click("#key-form button").await;
    let row = page.says("#errors-body", refused.header("x-request-id")).await;
    assert!(
        row.contains("unreadable-filter") && row.contains("GET /image/process.png") && row.contains("400"),
        "{row}"
    );
    assert!(row.contains(secret.header("x-request-id")) && !row.contains("s3cr3t"), "{row}");
    // One was made, three were found.
    page.says("#hit-rate", "75.0 %").await;
    page.says("#block-storage", "Originals").await;
    page.says("#block-queue", "Memory for pictures").await;
    page.says("#block-server", "SIMD on the processor").await;
    let variants = page.js("[...document.querySelectorAll('#block-latency svg')].map((chart) => chart.getAttribute('aria-label')).find((text) => text.startsWith('Variants'))").await;
    assert!(variants.as_str().unwrap().starts_with("Variants: 5 answers, half of them within "), "{variants}");
    // The same as a table, which stays open while the view is drawn anew.
    page.click("#block-storage summary").await;
    page.says("#block-storage table", "Proxies").await;
    let before = page.js("document.querySelector('#block-server .tile-value').textContent").await;
    page.until(&format!("document.querySelector('#block-server .tile-value').textContent !== {before}")).await;
    assert_eq!(page.js("document.querySelector('#block-storage details').open").await, json!(true));

    page.js("document.querySelector('input[name=errors][value=faults]').click()").await;
    page.until("document.getElementById('errors-none').checkVisibility()").await;
    page.js("document.querySelector('input[name=errors][value=bad]').click()").await;
    page.says("#errors-body", refused.header("x-request-id")).await;

    page.click("#operator-pause").await;
    page.says("#operator-state", "Paused").await;
    let still = page.js("document.querySelector('#block-server .tile-value').textContent").await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(page.js("document.querySelector('#block-server .tile-value').textContent").await, still);
    page.close().await;
}
