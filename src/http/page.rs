//! The page at `/`: its files stand in `page/` as the browser gets them, and are part of the program.
//!
//! Nothing of it is loaded from anywhere else, and nothing in it is a script or a style inline: its policy forbids both.

use std::sync::LazyLock;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use headers::{HeaderMapExt as _, IfNoneMatch};
use sha2::{Digest as _, Sha256};

use super::Wired;
use crate::domain::Hash;

/// What the page may do: load what is its own, and talk to this server.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($path:literal $file:literal $media_type:expr;)*) => {
        [$(File { path: $path, media_type: $media_type, bytes: include_bytes!(concat!("page/", $file)) },)*]
    };
}

/// All files of the page, each by its path.
const FILES: [File; 16] = files! {
    "/" "index.html" "text/html; charset=utf-8";
    "/ui/page.css" "page.css" "text/css; charset=utf-8";
    "/ui/icon.svg" "icon.svg" "image/svg+xml";
    "/ui/main.js" "main.js" SCRIPT;
    "/ui/api.js" "api.js" SCRIPT;
    "/ui/charts.js" "charts.js" SCRIPT;
    "/ui/compare.js" "compare.js" SCRIPT;
    "/ui/copy.js" "copy.js" SCRIPT;
    "/ui/dom.js" "dom.js" SCRIPT;
    "/ui/filters.js" "filters.js" SCRIPT;
    "/ui/mine.js" "mine.js" SCRIPT;
    "/ui/operator.js" "operator.js" SCRIPT;
    "/ui/playground.js" "playground.js" SCRIPT;
    "/ui/reorder.js" "reorder.js" SCRIPT;
    "/ui/steps.js" "steps.js" SCRIPT;
    "/ui/upload.js" "upload.js" SCRIPT;
};

/// Entity tags of [`FILES`], in their order: a new version of the program shows its own page at once.
static ETAGS: LazyLock<[String; FILES.len()]> =
    LazyLock::new(|| FILES.map(|file| format!("\"{}\"", Hash::from_bytes(Sha256::digest(file.bytes).into()))));

/// A file of the page.
#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

/// The paths of all files, as routes.
pub(super) fn routes() -> Router<Wired> {
    FILES.iter().enumerate().fold(Router::new(), |router, (index, file)| {
        router.route(file.path, get(move |request: Request| async move { served(index, request.headers()) }))
    })
}

/// The file with this index, unless the browser has it already.
fn served(index: usize, asked: &HeaderMap) -> Response {
    let (Some(file), Some(etag)) = (FILES.get(index), ETAGS.get(index)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let known = etag.parse::<headers::ETag>().is_ok_and(|etag| {
        asked.contains_key(IF_NONE_MATCH)
            && asked.typed_get::<IfNoneMatch>().is_some_and(|wanted| !wanted.precondition_passes(&etag))
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(file.bytes).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
        response
    };
    let headers = response.headers_mut();
    let fixed: [(HeaderName, HeaderValue); 4] = [
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    headers.extend(fixed);
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_in_the_folder_is_served_and_loads_nothing_from_elsewhere() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page");
        let there = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let served =
            FILES.map(|file| file.path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("index.html"));
        assert_eq!(there.collect::<BTreeSet<_>>(), served.map(str::to_owned).into());
        let mut bytes = 0;
        for file in FILES {
            let text = std::str::from_utf8(file.bytes).unwrap();
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " style=\"",
                "<style",
                " onclick=",
            ] {
                assert!(!text.contains(forbidden), "{} has {forbidden}", file.path);
            }
            // What a namespace is called, and examples of addresses, are not loaded.
            let elsewhere = text.replace("http://www.w3.org/2000/svg", "").replace("https://example.org", "");
            assert!(
                !elsewhere.contains("http://") && !elsewhere.contains("https://"),
                "{} names another host",
                file.path
            );
            bytes += file.bytes.len();
        }
        assert!(bytes < 200_000, "{bytes} bytes are much for a page");
    }

    #[test]
    fn what_the_modules_import_is_there() {
        for file in FILES {
            let text = std::str::from_utf8(file.bytes).unwrap();
            let imported = text.lines().filter_map(|line| line.split_once(" from \"./")?.1.strip_suffix("\";"));
            for name in imported {
                let path = format!("/ui/{name}");
                assert!(FILES.iter().any(|file| file.path == path), "{} imports {name}", file.path);
            }
        }
    }
}
