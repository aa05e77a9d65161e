//! SVGs that attack whoever draws them: each through the program, within bounds of time and memory.

use crate::answered;

fn svg(attributes: &str, inside: &str) -> Vec<u8> {
    format!("<svg xmlns='http://www.w3.org/2000/svg' {attributes}>{inside}</svg>").into_bytes()
}

/// A picture of 24 MP, as a large photo has.
const LARGE: &str = "width='6000' height='4000'";

const DEEP: &str = "levels of elements";
const UNFOLDED: &str = "elements with all that they refer to: at most 200000 are allowed";
const STEPS: &str = "steps to draw it: at most 5000000000 are allowed";
const MEMORY: &str = "bytes of memory: at most";

/// `links` elements, each of two that refer to the one before.
fn chain(what: &str, body: &str, links: usize) -> String {
    let link =
        |at: usize| format!("<{what} id='a{}'>{}</{what}>", at + 1, body.replace('N', &at.to_string()).repeat(2));
    (0..links).map(link).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_unfold_are_refused() {
    let laughs: String =
        (1..10).map(|at| format!("<!ENTITY l{at} '{}'>", format!("&l{};", at - 1).repeat(10))).collect();
    let quadratic = format!("<!DOCTYPE svg [<!ENTITY a '{}'>]>", "a".repeat(60_000));
    answered(&[
        (
            "a billion laughs",
            [format!("<!DOCTYPE svg [<!ENTITY l0 'lol'>{laughs}]>").into_bytes(), svg("", "<desc>&l9;</desc>")].concat(),
            Err("SVG with a document type of its own is not supported"),
        ),
        ("one long laugh", [quadratic.into_bytes(), svg("", &format!("<desc>{}</desc>", "&a;".repeat(200)))].concat(), Err("bytes with its entities: at most 8388608")),
        ("9 MB", svg("", &" ".repeat(9 << 20)), Err("bytes: at most 8388608 are allowed")),
        ("deep", svg("", &("<g>".repeat(1 << 17) + &"</g>".repeat(1 << 17))), Err(DEEP)),
        ("wide", svg("", &"<g/>".repeat(1 << 20)), Err("400001 elements and texts, or more: at most 400000 are allowed")),
        ("attributes", svg("", &format!("<g{}/>", (0..500_000).map(|at| format!(" a{at}=''")).collect::<String>())), Err("attributes in one element")),
        ("use", svg("width='9' height='9'", &(chain("g", "<use href='#aN'/>", 28) + "<use href='#a28'/>")), Err(UNFOLDED)),
        ("use of itself", svg("width='9' height='9'", "<use id='a' href='#b'/><g id='b'><use href='#a'/></g>"), Err("refers to itself")),
        ("inherited", svg("width='9' height='9'", "<g fill='url(#p)'><pattern id='p'><rect width='1' height='1'/></pattern><rect width='9' height='9'/></g>"), Err("refers to itself")),
        ("patterns", svg("width='9' height='9'", &(chain("pattern", "<rect width='9' height='9' fill='url(#aN)'/>", 28) + "<rect width='9' height='9' fill='url(#a28)'/>")), Err(UNFOLDED)),
        ("masks", svg("width='9' height='9'", &(chain("mask", "<rect width='9' height='9' mask='url(#aN)'/>", 28) + "<rect width='9' height='9' mask='url(#a28)'/>")), Err(UNFOLDED)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drawings_that_take_too_much_memory_are_refused() {
    let whole = "<rect width='6000' height='4000' fill='red'/>";
    let layers = |links: usize, attributes: &str| {
        format!("{}{whole}{}", format!("<g {attributes}>").repeat(links), "</g>".repeat(links))
    };
    answered(&[
        ("layers", svg(LARGE, &layers(60, "opacity='.9'")), Err(MEMORY)),
        ("a pattern of 10 GB", svg("width='9' height='9'", "<pattern id='p' width='50000' height='50000' patternUnits='userSpaceOnUse'><rect width='1' height='1'/></pattern><rect width='9' height='9' fill='url(#p)'/>"), Err(MEMORY)),
        ("a pattern far away", svg("width='9' height='9' viewBox='0 0 .001 .001'", "<pattern id='p' width='99' height='99' patternUnits='userSpaceOnUse'><rect width='1' height='1'/></pattern><rect width='9' height='9' fill='url(#p)'/>"), Err(MEMORY)),
        ("a filter of many steps", svg(LARGE, &format!("<filter id='f'>{}</filter><g filter='url(#f)'>{whole}</g>", "<feOffset dx='1'/>".repeat(50))), Err(MEMORY)),
        ("a large filter", svg("width='3000' height='3000'", "<filter id='f' x='-9' y='-9' width='99' height='99'><feGaussianBlur stdDeviation='500'/></filter><g filter='url(#f)'><rect width='3000' height='3000'/></g>"), Err(MEMORY)),
        ("a million dashes", svg("width='900' height='900'", "<path stroke='red' stroke-width='9' stroke-linecap='round' stroke-dasharray='.0009' d='M0 0H900'/>"), Err(MEMORY)),
        ("a long path", svg("width='900' height='900'", &format!("<path stroke='red' stroke-linejoin='round' d='M0 0{}'/>", "h1v1".repeat(1 << 17))), Err(MEMORY)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drawings_that_take_too_much_time_are_refused() {
    let whole = "<rect width='6000' height='4000' fill='url(#p)'/>";
    let turbulence = "<filter id='f' x='0' y='0' width='1' height='1'><feTurbulence baseFrequency='.1' numOctaves='4000000000'/></filter><rect width='900' height='900' filter='url(#f)'/>";
    let erode = "<filter id='f' x='0' y='0' width='1' height='1'><feMorphology radius='400'/></filter><rect width='900' height='900' filter='url(#f)'/>";
    let convolve = format!(
        "<filter id='f' x='0' y='0' width='1' height='1'><feConvolveMatrix order='200' kernelMatrix='{}'/></filter><rect width='900' height='900' filter='url(#f)'/>",
        "1 ".repeat(40_000)
    );
    let zigzag: String = (0..60_000).map(|at| format!("L{} {}", at * 7919 % 4000, at % 2 * 4000)).collect();
    answered(&[
        (
            "covers",
            svg(
                LARGE,
                &format!(
                    "<linearGradient id='p'><stop/><stop offset='1' stop-color='red'/></linearGradient>{}",
                    whole.repeat(100)
                ),
            ),
            Err(STEPS),
        ),
        ("turbulence", svg("width='900' height='900'", turbulence), Err(STEPS)),
        ("morphology", svg("width='900' height='900'", erode), Err(STEPS)),
        ("convolution", svg("width='900' height='900'", &convolve), Err(STEPS)),
        ("a zigzag", svg("width='4000' height='4000'", &format!("<path d='M0 0{zigzag}'/>")), Err(STEPS)),
    ])
    .await;
}

/// Just below the limits: these are drawn, and stay within time and memory as well.
#[tokio::test(flavor = "multi_thread")]
async fn large_drawings_within_the_limits_are_drawn() {
    let many: String = (0..60_000)
        .map(|at| format!("<path d='M{} {}h3v3z' fill='#{:06x}' stroke='red'/>", at % 300 * 4, at / 300 * 4, at * 97))
        .collect();
    let nested =
        "<g transform='translate(1 1)' opacity='.99'>".repeat(60) + "<rect width='9' height='9'/>" + &"</g>".repeat(60);
    let curves: String = (0..40_000).map(|at| format!("q9 {} 5 5t-3-4", at % 100)).collect();
    let uses =
        "<g id='a'>".to_owned() + &"<path d='M0 0h9v9z'/>".repeat(100) + "</g>" + &"<use href='#a'/>".repeat(1500);
    answered(&[
        ("60,000 paths", svg("width='1200' height='800'", &many), Ok(())),
        ("60 layers", svg("width='100' height='100'", &nested), Ok(())),
        ("40,000 curves", svg("width='1000' height='1000'", &format!("<path d='M0 0{curves}' stroke='blue' fill='none'/>")), Ok(())),
        ("150,000 by use", svg("width='100' height='100'", &uses), Ok(())),
        ("40 MP", svg("width='8000' height='5000'", "<rect width='8000' height='5000' fill='red'/>"), Ok(())),
        ("a blur", svg("width='1500' height='1500'", "<filter id='f'><feGaussianBlur stdDeviation='30'/></filter><rect x='300' y='300' width='900' height='900' filter='url(#f)'/>"), Ok(())),
    ])
    .await;
}

/// Those of a corpus beside the checkout, where there is one.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_of_the_corpus_are_refused() {
    let Ok(entries) = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/hostile")) else {
        println!("skipped: no corpus");
        return;
    };
    let files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "svg"))
        .collect();
    assert!(!files.is_empty());
    let named: Vec<_> =
        files.iter().map(|path| (path.to_str().unwrap(), std::fs::read(path).unwrap(), Err(""))).collect();
    answered(&named).await;
}
