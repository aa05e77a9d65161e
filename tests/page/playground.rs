//! The playground: what is chosen is what is asked for, what is shown is what came, and nothing is lost on the way.

use image::ImageFormat;
use serde_json::{Value, json};
use thirtyfour::Key;

use crate::{
    browser::Page,
    client::{Answer, Uploaded},
    landscape::picture,
};

/// A sum over the pixels of the result as the browser has it.
const PIXELS: &str = "(() => { const image = document.getElementById('after'); const canvas = document.createElement('canvas'); \
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight]; const context = canvas.getContext('2d'); context.drawImage(image, 0, 0); \
    return context.getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, value) => (sum * 31 + value) % 1000003, 7); })()";

/// Waits for the picture that is asked for, and gives its address.
async fn shown(page: &Page) -> String {
    page.until("document.querySelector('#fact-bytes') && document.querySelector('#compare').getAttribute('aria-busy') === 'false'").await;
    page.js("document.getElementById('link').value").await.as_str().unwrap().to_owned()
}

/// Waits until the address ends so, and then for its picture.
async fn shown_with(page: &Page, filters: &str) -> String {
    page.until(&format!("document.getElementById('link').value.endsWith({})", Value::from(filters))).await;
    shown(page).await
}

/// What the server answers under this address.
async fn fetched(page: &Page, address: &str) -> Answer {
    let path = address.strip_prefix(&page.address("")).unwrap();
    let answer = page.server.get(&format!("/{path}")).await;
    answer.is(200);
    answer
}

/// The order of the filters, as it is seen.
async fn order(page: &Page) -> Vec<String> {
    let names = page.js("[...document.querySelectorAll('#steps .step')].map((step) => step.dataset.filter)").await;
    serde_json::from_value(names).unwrap()
}

/// The page at the playground with a picture in it.
async fn begun(width: u32, height: u32) -> Option<(Page, Uploaded)> {
    let page = Page::open("#upload").await?;
    let stored = page.server.upload(&picture(1, width, height, ImageFormat::Jpeg)).await;
    page.go(&format!("#playground/png?src={}&thumbnail=64", stored.file)).await;
    shown(&page).await;
    Some((page, stored))
}

#[tokio::test]
async fn the_address_that_is_shown_gives_the_picture_that_is_shown() {
    let Some((page, stored)) = begun(300, 200).await else { return };
    page.js("[...document.querySelectorAll('.chip')].find((chip) => chip.textContent === 'Add Blur').click()").await;
    let address = shown_with(&page, "&thumbnail=64&blur=3").await;
    assert!(address.ends_with(&format!("/image/process.png?src={}&thumbnail=64&blur=3", stored.file)), "{address}");

    let answer = fetched(&page, &address).await;
    let decoded = image::load_from_memory(&answer.body).unwrap();
    let size = page
        .js("[document.getElementById('after').naturalWidth, document.getElementById('after').naturalHeight]")
        .await;
    assert_eq!(size, json!([decoded.width(), decoded.height()]));
    assert_eq!(size, json!([64, 42]));
    let bytes = page.js("document.getElementById('fact-bytes').dataset.bytes").await;
    assert_eq!(bytes, json!(answer.body.len().to_string()));
    let millis = page.js("document.getElementById('fact-millis').dataset.millis").await;
    assert!(millis.as_str().unwrap().parse::<u32>().unwrap() < 30_000);
    page.says("#facts", "PNG").await;
    page.says("#live", " of png, in ").await;
    // What is seen are those pixels, not only so many bytes.
    let sum = page.js(PIXELS).await;
    let expected = decoded.to_rgba8().iter().fold(7_u64, |sum, value| (sum * 31 + u64::from(*value)) % 1_000_003);
    assert_eq!(sum, json!(expected));

    let curl = page.js("document.getElementById('curl').value").await;
    let stem = stored.file.split('.').next().unwrap();
    assert_eq!(curl, json!(format!("curl -o {stem}.png '{address}'")));
    // A number of the slider is that of the field, by keys too.
    page.keys(".step[data-filter=blur] input[type=range]", Key::Right).await;
    shown_with(&page, "&blur=3.5").await;
    assert_eq!(page.js("document.querySelector('.step[data-filter=blur] .figure').value").await, json!("3.5"));
    page.click("#formats input[value=webp]").await;
    page.until("document.getElementById('fact-type')?.textContent === 'WEBP'").await;
    page.click("#quality-own").await;
    shown_with(&page, "&blur=3.5&quality=80").await;
    // It is all in the address, so it is there again.
    page.refresh().await.unwrap();
    shown_with(&page, "&thumbnail=64&blur=3.5&quality=80").await;
    page.close().await;
}

#[tokio::test]
async fn filters_are_put_in_order_by_keys_and_by_dragging() {
    let Some((page, stored)) = begun(300, 200).await else { return };
    page.go(&format!("#playground/png?src={}&thumbnail=64&blur=3&identity=true", stored.file)).await;
    shown_with(&page, "&thumbnail=64&blur=3&identity=true").await;
    let sharp = page.js("document.getElementById('fact-bytes').dataset.bytes").await;

    page.keys(".step[data-filter=blur] .grip", Key::Up).await;
    assert_eq!(order(&page).await, ["blur", "thumbnail", "identity"]);
    page.says("#live", "Blur is at place 1 of 3").await;
    assert_eq!(
        page.js("document.activeElement.getAttribute('aria-label')").await,
        json!("Move Blur"),
        "the focus stays with it"
    );
    page.keys(".step[data-filter=blur] .grip", Key::Up).await;
    page.says("#live", "first already").await;
    let address = shown_with(&page, "&blur=3&thumbnail=64&identity=true").await;
    assert_ne!(page.js("document.getElementById('fact-bytes').dataset.bytes").await, sharp, "it is another picture");
    fetched(&page, &address).await;

    // With the mouse, over both of the others.
    page.size(1280, 1500).await;
    let from = page.find(".step[data-filter=blur] .grip").await;
    let to = page.find(".step[data-filter=identity]").await;
    let (start, end) = (from.rect().await.unwrap(), to.rect().await.unwrap());
    let by = end.y + end.height - start.y;
    page.picture("drag-before").await;
    let steps = 8_i32;
    let mut drag = page.action_chain().move_to_element_center(&from).click_and_hold();
    for _ in 0..steps {
        #[expect(clippy::cast_possible_truncation, reason = "a few hundred pixels")]
        let step = (by / f64::from(steps)).ceil() as i64;
        drag = drag.move_by_offset(0, step);
    }
    drag.perform().await.unwrap();
    assert_eq!(page.js("document.querySelectorAll('.step.held').length").await, json!(1));
    page.picture("drag-under-way").await;
    page.action_chain().release().perform().await.unwrap();
    assert_eq!(order(&page).await, ["thumbnail", "identity", "blur"]);
    page.says("#live", "Blur is at place 3 of 3").await;
    shown_with(&page, "&thumbnail=64&identity=true&blur=3").await;
    assert_eq!(page.js("document.querySelectorAll('.step.held, .step[style*=translate]').length").await, json!(0));

    // By the buttons, and away.
    page.click(".step[data-filter=identity] [aria-label='Move Identity up']").await;
    assert_eq!(order(&page).await, ["identity", "thumbnail", "blur"]);
    page.click(".step[data-filter=identity] [aria-label='Remove Identity']").await;
    assert_eq!(order(&page).await, ["thumbnail", "blur"]);
    assert_eq!(page.js("document.activeElement.getAttribute('aria-label')").await, json!("Move Thumbnail"));
    shown_with(&page, "&thumbnail=64&blur=3").await;
    page.close().await;
}

#[tokio::test]
async fn before_and_after_are_parted_where_the_slider_is() {
    let Some((page, _stored)) = begun(300, 200).await else { return };
    let clips = "[getComputedStyle(document.getElementById('before')).clipPath, getComputedStyle(document.getElementById('after')).clipPath]";
    let before = page.js(clips).await;
    page.keys("#split", Key::Home).await;
    assert_eq!(page.js("document.getElementById('split').value").await, json!("0"));
    let none = page.js(clips).await;
    for picture in 0..2 {
        assert_ne!(before[picture], none[picture], "both are clipped");
    }
    page.keys("#split", Key::Right.value().to_string().repeat(30)).await;
    assert_eq!(
        page.js("document.getElementById('split').getAttribute('aria-valuetext')").await,
        json!("30 % of the original")
    );
    assert_ne!(page.js(clips).await, none);
    let line = "Math.round(100 * (document.querySelector('.split-line').getBoundingClientRect().x - document.querySelector('.canvas').getBoundingClientRect().x) / document.querySelector('.canvas').offsetWidth)";
    assert_eq!(page.js(line).await, json!(30));
    // And by the mouse.
    let split = page.find("#split").await;
    let width = split.rect().await.unwrap().width;
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred pixels")]
    let quarter = (width / 4.0) as i64;
    page.action_chain().move_to_element_with_offset(&split, quarter, 0).click().perform().await.unwrap();
    let place = page.js("Number(document.getElementById('split').value)").await.as_f64().unwrap();
    assert!((place - 75.0).abs() < 4.0, "{place}");
    page.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_and_stays_to_be_read() {
    let Some((mut page, stored)) = begun(300, 200).await else { return };
    page.expect("status of 404");
    page.write("#source", "nosuch.jpg").await;
    page.keys("#source", Key::Enter).await;
    let told = page.says("#problem", "unknown-alias").await;
    let expected = page.server.get("/image/process.png?src=nosuch.jpg&thumbnail=64").await.error(404);
    assert!(told.to_lowercase().contains(&expected.to_lowercase()), "{told} has not {expected}");
    assert!(told.contains("404"), "{told}");
    assert_eq!(
        page.js("document.getElementById('after').checkVisibility()").await,
        json!(false),
        "another picture's result"
    );
    page.picture("playground-unknown").await;

    page.write("#source", &stored.file).await;
    page.keys("#source", Key::Enter).await;
    page.until("document.getElementById('problem').hidden && document.getElementById('after').checkVisibility()").await;

    let asked =
        "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/image/process')).length";
    let before = page.js(asked).await;
    page.write(".step .figure", "0").await;
    page.says(".step .error", "thumbnail is 0: it takes a number from 1 to 65535").await;
    page.says("#problem", "thumbnail is 0").await;
    page.picture("playground-wrong").await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(page.js(asked).await, before, "what is known to be wrong is not asked for");
    page.click(".step .error .link").await;
    shown_with(&page, "&thumbnail=1").await;
    assert_eq!(page.js("document.querySelector('.step .error').hidden").await, json!(true));
    page.close().await;
}

/// Every filter of the table, each with what it begins with: the server takes it, or does not know it, and refuses none.
#[tokio::test]
async fn every_filter_of_the_table_begins_with_a_value_that_is_taken() {
    let Some((page, stored)) = begun(300, 200).await else { return };
    let count = page.js("document.querySelectorAll('.chip').length").await.as_u64().unwrap();
    assert!(count >= 17, "only {count} filters");
    for chip in 0..count {
        page.go(&format!("#playground/jpg?src={}", stored.file)).await;
        page.until("document.querySelectorAll('.step').length === 0").await;
        page.js(&format!("document.querySelectorAll('.chip')[{chip}].click()")).await;
        page.until("document.querySelectorAll('.step').length === 1 && document.querySelector('.step .error').hidden")
            .await;
        let name = order(&page).await.remove(0);
        let address = page
            .until(&format!(
                "document.getElementById('link').value.includes('&{name}=') && document.getElementById('link').value"
            ))
            .await;
        fetched(&page, address.as_str().unwrap()).await;
        // In the address and back.
        let filters = address.as_str().unwrap().split_once('&').unwrap().1.to_owned();
        page.js("location.hash = '#upload'").await;
        page.go(&format!("#playground/jpg?src={}&{filters}", stored.file)).await;
        page.until(&format!(
            "document.getElementById('link').value === {address} && document.querySelector('.step .error').hidden"
        ))
        .await;
    }
    page.close().await;
}

/// What a crop keeps may stand in itself: it comes from an address, goes into it, and a wrong one is told.
#[tokio::test]
async fn a_crop_says_itself_what_it_keeps() {
    let Some((page, stored)) = begun(300, 200).await else { return };
    page.go(&format!("#playground/png?src={}&crop=1x1.east", stored.file)).await;
    shown_with(&page, "&crop=1x1.east").await;
    page.until("document.getElementById('after').naturalWidth === 200").await;
    assert_eq!(page.js("document.querySelector('.step select').value").await, json!("east"));
    let choose = |name: &str| {
        format!(
            "(() => {{ const box = document.querySelector('.step select'); box.value = '{name}'; box.dispatchEvent(new Event('change')); }})()"
        )
    };
    page.js(&choose("smart")).await;
    shown_with(&page, "&crop=1x1.smart").await;
    page.js(&choose("")).await;
    shown_with(&page, "&crop=1x1").await;
    page.write(".step .figure", "2").await;
    shown_with(&page, "&crop=2x1").await;
    page.go(&format!("#playground/png?src={}&crop=1x1.up", stored.file)).await;
    page.says(".step .error", "crop is 1x1.up: it takes behind the dot one of smart, center").await;
    page.click(".step .error .link").await;
    shown_with(&page, "&crop=1x1").await;
    page.close().await;
}

#[tokio::test]
async fn the_last_change_wins_however_fast_they_come() {
    let Some((page, _stored)) = begun(1200, 900).await else { return };
    // Each asks for a picture a moment after, and is given up for the next.
    for side in 100..130 {
        let set = format!(
            "(() => {{ const box = document.querySelector('.step .figure'); box.value = '{side}'; box.dispatchEvent(new Event('input')); }})()"
        );
        page.js(&set).await;
        tokio::time::sleep(std::time::Duration::from_millis(if side % 10 == 0 { 300 } else { 15 })).await;
    }
    shown_with(&page, "&thumbnail=129").await;
    page.until("document.getElementById('after').naturalWidth === 129").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(page.js("document.getElementById('after').naturalWidth").await, json!(129), "an earlier one came later");
    page.close().await;
}
