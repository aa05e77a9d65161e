//! Everybody can use it: by keys alone, by ear, with little sight, on a narrow screen.

use image::ImageFormat;
use serde_json::{Value, json};
use thirtyfour::Key;

use crate::{
    browser::{KEY, Page},
    landscape::picture,
};

/// Goes through the views with something in each.
const VIEWS: [&str; 3] = ["#upload", "#playground", "#operator"];

/// The page with a picture in its list, one that failed, filters of every kind, and the operator's view open.
pub(crate) async fn full() -> Option<Page> {
    let mut page = Page::open("#upload").await?;
    page.expect("status of 400");
    let pictures =
        [1, 2, 3].map(|seed| page.file(&format!("evening-{seed}.jpg"), &picture(seed, 1500, 1000, ImageFormat::Jpeg)));
    page.keys("#files", pictures.join("\n")).await;
    page.until("document.querySelectorAll('#mine .card').length === 3").await;
    page.keys("#files", page.file("notes.txt.jpg", b"not a picture")).await;
    page.until("document.querySelector('.upload.failed')").await;
    page.click("#by-hand summary").await;
    let file = page.js("document.querySelector('.card').dataset.file").await;
    page.go(&format!("#playground/webp?src={}&thumbnail=640&blur=4", file.as_str().unwrap())).await;
    page.until("document.querySelector('#fact-bytes')").await;
    page.go("#operator").await;
    page.write("#key", KEY).await;
    page.click("#key-form button").await;
    page.says("#operator-state", "Live").await;
    page.until("document.querySelector('#errors-body tr')").await;
    Some(page)
}

/// Names of what can be used but has no name, in the browser's own tree for screen readers.
async fn nameless(page: &Page) -> Vec<String> {
    let tree = page.devtools("Accessibility.getFullAXTree", json!({})).await;
    let nodes = tree["nodes"].as_array().unwrap();
    let used = [
        "button",
        "link",
        "textbox",
        "checkbox",
        "radio",
        "combobox",
        "slider",
        "spinbutton",
        "img",
        "image",
        "region",
        "form",
        "progressbar",
        "ColorWell",
        "table",
        "listbox",
        "DisclosureTriangle",
    ];
    let of_use = nodes.iter().filter(|node| {
        node["ignored"] == json!(false) && used.contains(&node["role"]["value"].as_str().unwrap_or_default())
    });
    let all: Vec<&Value> = of_use.collect();
    assert!(all.len() >= 10, "only {} were seen", all.len());
    all.iter()
        .filter(|node| node["name"]["value"].as_str().unwrap_or_default().trim().is_empty())
        .map(|node| node.to_string())
        .collect()
}

/// All that Tab should come to: what is shown and can be used, of radios the chosen one.
const REACHABLE: &str = "[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex=\"0\"]')]
    .filter((node) => node.checkVisibility() && !node.disabled && node.tabIndex >= 0 && !(node.type === 'radio' && !node.checked))";

#[tokio::test]
async fn everything_has_a_name_and_is_reached_by_tab() {
    let Some(page) = full().await else { return };
    for view in VIEWS {
        page.go(view).await;
        assert_eq!(nameless(&page).await, [""; 0], "{view}");
        let twice = "(() => { const all = [...document.querySelectorAll('[id]')].map((node) => node.id); return all.filter((id, at) => all.indexOf(id) !== at); })()";
        assert_eq!(page.js(twice).await, json!([]), "{view}: ids that stand twice");
        let nowhere = "[...document.querySelectorAll('[aria-describedby], [aria-labelledby], label[for]')].flatMap((node) => \
            (node.getAttribute('aria-describedby') ?? node.getAttribute('aria-labelledby') ?? node.htmlFor).split(' ')).filter((id) => !document.getElementById(id))";
        assert_eq!(page.js(nowhere).await, json!([]), "{view}: labels that lead nowhere");
        assert_eq!(
            page.js("document.querySelectorAll('main h1:not([hidden])').length > 0 && document.documentElement.lang")
                .await,
            json!("en")
        );

        if view == "#operator" {
            // The tables are drawn anew all the while.
            page.click("#operator-pause").await;
        }
        page.js(&format!("(window.all = {REACHABLE}, window.met = new Set(), scrollTo(0, 0), document.activeElement.blur(), window.getSelection().removeAllRanges())")).await;
        let count = page.js("window.all.length").await.as_u64().unwrap();
        page.js("document.querySelector('.skip').focus(), window.met.add(document.activeElement)").await;
        for _ in 0..count {
            page.action_chain().send_keys(Key::Tab).perform().await.unwrap();
            let hidden = page.js("(() => { const node = document.activeElement; window.met.add(node); const outline = getComputedStyle(node); \
                const box = node.getBoundingClientRect(); return node === document.body || box.width > 0 ? '' : node.outerHTML; })()").await;
            assert_eq!(hidden, json!(""), "{view}: the focus is on what has no size");
        }
        let missed = page
            .js("window.all.filter((node) => !window.met.has(node)).map((node) => node.outerHTML.slice(0, 200))")
            .await;
        assert_eq!(missed, json!([]), "{view}: Tab does not come there");
    }
    page.close().await;
}

#[tokio::test]
async fn whoever_skips_to_the_content_is_there() {
    let Some(page) = Page::open("#upload").await else { return };
    page.action_chain().send_keys(Key::Tab).perform().await.unwrap();
    assert_eq!(page.js("document.activeElement.className").await, json!("skip"));
    page.action_chain().send_keys(Key::Enter).perform().await.unwrap();
    page.until("document.activeElement.id === 'main'").await;
    assert_eq!(page.js("document.getElementById('view-upload').hidden").await, json!(false));
    page.close().await;
}

/// Texts with too little contrast to what they stand on. Pictures, and what is off, are passed over.
const PALE: &str = r"(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
    const pale = [];
    let seen = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
        const node = text.parentElement;
        if (!text.data.trim() || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || node.closest('.offscreen, .tag, noscript, option, :disabled, title')) continue;
        let under = node;
        while (under && rgba(getComputedStyle(under).backgroundColor)[3] < 255) under = under.parentElement;
        const back = light(rgba(getComputedStyle(under ?? document.documentElement).backgroundColor));
        const style = getComputedStyle(node);
        const front = light(rgba(svg(node) ? style.fill : style.color));
        const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        seen += 1;
        if (ratio < 4.5) pale.push(`${text.data.trim().slice(0, 40)}: ${ratio.toFixed(2)} (${style.color} on ${under?.className || under?.tagName})`);
    }
    function svg(node) { return node instanceof SVGElement; }
    return { pale, seen };
})()";

#[tokio::test]
async fn texts_stand_out_from_what_is_behind_them_in_light_and_dark() {
    let Some(page) = full().await else { return };
    for scheme in ["light", "dark"] {
        page.scheme(scheme).await;
        for view in VIEWS {
            page.go(view).await;
            // What comes into sight does so within a quarter of a second.
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            let found = page.js(PALE).await;
            assert_eq!(found["pale"], json!([]), "{scheme} {view}");
            assert!(found["seen"].as_u64().unwrap() > 10, "{scheme} {view}: {found}");
        }
    }
    // The comparison sees what it should.
    page.js("document.querySelector('#operator-title').setAttribute('hidden', ''), document.querySelector('#operator-title').removeAttribute('hidden'), document.querySelector('#operator-title').style.color = '#303030'").await;
    assert_eq!(page.js(PALE).await["pale"].as_array().unwrap().len(), 1);
    page.close().await;
}

#[tokio::test]
async fn what_is_chosen_for_colours_beats_the_system_and_is_kept() {
    let Some(page) = Page::open("#upload").await else { return };
    let paper = "getComputedStyle(document.body).backgroundColor";
    page.scheme("light").await;
    let light = page.js(paper).await;
    page.scheme("dark").await;
    let dark = page.js(paper).await;
    assert_ne!(light, dark);
    let choose = |name: &str| {
        format!(
            "(() => {{ const select = document.getElementById('theme'); select.value = '{name}'; select.dispatchEvent(new Event('change')); }})()"
        )
    };
    page.js(&choose("light")).await;
    assert_eq!(page.js(paper).await, light);
    page.refresh().await.unwrap();
    page.until("document.documentElement.dataset.theme === 'light'").await;
    assert_eq!(page.js(paper).await, light);
    page.js(&choose("")).await;
    assert_eq!(page.js(paper).await, dark);
    page.close().await;
}

#[tokio::test]
async fn nothing_is_wider_than_a_narrow_screen() {
    let Some(page) = full().await else { return };
    page.size(360, 740).await;
    for view in VIEWS {
        page.go(view).await;
        let width = page.js("document.documentElement.scrollWidth").await;
        let outside = page.js("[...document.querySelectorAll('main *, header *')].filter((node) => node.checkVisibility() && !node.closest('.scroll, .offscreen, svg, .frame') && node.getBoundingClientRect().right > 360.5).map((node) => node.outerHTML.slice(0, 120))").await;
        assert_eq!((width, outside), (json!(360), json!([])), "{view}");
        let small = page.js("[...document.querySelectorAll('button, a.button, nav a, select, summary')].filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 24 && !node.closest('.error')).map((node) => node.outerHTML.slice(0, 120))").await;
        assert_eq!(small, json!([]), "{view}: too small for a finger");
    }
    page.close().await;
}
