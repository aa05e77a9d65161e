//! Pictures of every view, light and dark, wide and narrow, for whoever changes the page to look at.

use serde_json::json;

use crate::access::full;

#[tokio::test]
async fn every_view_is_photographed() {
    let Some(page) = full().await else { return };
    page.devtools("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
    for (width, name) in [(1280, "wide"), (768, "middle"), (360, "narrow")] {
        for scheme in ["light", "dark"] {
            page.scheme(scheme).await;
            for view in ["upload", "playground", "operator"] {
                page.size(width, 800).await;
                page.go(&format!("#{view}")).await;
                page.js("document.activeElement.blur(), scrollTo(0, 0)").await;
                page.until("[...document.images].every((image) => !image.checkVisibility() || image.complete)").await;
                tokio::time::sleep(std::time::Duration::from_millis(350)).await;
                // As high as it is, but for the parts that fill the screen.
                let height = page.js("document.documentElement.scrollHeight").await.as_u64().unwrap();
                page.size(width, u32::try_from(height.clamp(800, 4000)).unwrap()).await;
                page.picture(&format!("{view}-{scheme}-{name}")).await;
            }
        }
    }
    assert_eq!(page.js("document.querySelectorAll('.view:not([hidden])').length").await, json!(1));
    page.close().await;
}
