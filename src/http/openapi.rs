//! `GET /openapi.json`: the API for programs, from what stands at the handlers.

use std::sync::LazyLock;

use axum::{
    http::{HeaderName, HeaderValue, header::CONTENT_TYPE},
    response::IntoResponse,
};
use bytes::Bytes;
use utoipa::{
    IntoParams, Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};

use super::{
    backgrounded, delete, details, download, hashes, health, internal, limits, metrics, original, overview, process,
    prune, stand_in, upload,
};

/// Which picture is meant: one of the two is to be there.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it says what a query may have; its pairs are read in their order")]
pub(super) struct OneQuery {
    /// The name of the picture.
    #[param(example = "lkWZDRvugm.jpg")]
    alias: Option<String>,
    /// In its place, the address of a picture of another host.
    #[param(example = "https://example.org/a.jpg")]
    proxy: Option<String>,
}

/// Which picture a variant is of: one of these is to be there.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it says what a query may have; its pairs are read in their order")]
pub(super) struct SourceQuery {
    /// The name of the picture.
    #[param(example = "lkWZDRvugm.jpg")]
    src: Option<String>,
    /// The same, as pict-rs 0.5 has it; not looked at where there is a `src`.
    #[param(example = "lkWZDRvugm.jpg")]
    alias: Option<String>,
    /// The address of a picture of another host, where there is neither.
    #[param(example = "https://example.org/a.jpg")]
    proxy: Option<String>,
}

/// What the pictures of an upload have to keep, each on top of the server's own limits.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it says what a query may have; its pairs are read in their order")]
pub(super) struct LimitsQuery {
    /// Most columns.
    max_width: Option<u32>,
    /// Most rows.
    max_height: Option<u32>,
    /// Most pixels of a frame.
    max_area: Option<u64>,
    /// Most frames.
    max_frame_count: Option<u32>,
    /// Largest file in megabytes of 1024 * 1024 bytes.
    max_file_size: Option<u64>,
    /// Whether what stands still is taken.
    allow_image: Option<bool>,
    /// Whether what moves is taken.
    allow_animation: Option<bool>,
    /// Whether videos are taken; none ever is.
    allow_video: Option<bool>,
}

/// What is done to a picture. Filters run in the order of the query, and may stand more than once, which a table of parameters cannot say.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it says what a query may have; its pairs are read in their order")]
pub(super) struct StepsQuery {
    /// No change.
    identity: Option<bool>,
    /// Fits it inside a square of so many pixels.
    #[param(minimum = 1, example = 256)]
    thumbnail: Option<u64>,
    /// Fits it inside a square, or into an area: `256`, `mitchell.256`, `lanczos3.a65536`.
    #[param(
        pattern = r"^((lanczos3|catmullrom|mitchell|bilinear|box)\.)?a?[1-9][0-9]{0,8}$",
        example = "mitchell.256"
    )]
    resize: Option<String>,
    /// Fits it inside a frame: `300x200`.
    #[param(pattern = "^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$", example = "300x200")]
    fit: Option<String>,
    /// Covers a frame, and keeps as much as that shows: `300x200`, `300x200.smart`.
    #[param(pattern = "^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$", example = "300x200")]
    cover: Option<String>,
    /// Keeps the largest part of an aspect: `16x9`, `16x9.north`.
    #[param(pattern = "^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$", example = "16x9")]
    crop: Option<String>,
    /// Gaussian blur of this standard deviation in pixels.
    #[param(maximum = 10000, example = 3.0)]
    blur: Option<f32>,
    /// Unsharp mask: a standard deviation in pixels, and an amount: `1.5`, `1.5x0.8`.
    #[param(pattern = r"^[0-3](\.[0-9]{1,3})?(x[0-9](\.[0-9]{1,3})?)?$", example = "1.5x0.8")]
    sharpen: Option<String>,
    /// No colours.
    grayscale: Option<bool>,
    /// Brighter or darker, in percent.
    #[param(minimum = -100, maximum = 100)]
    brightness: Option<f32>,
    /// More or less contrast, in percent.
    #[param(minimum = -100, maximum = 100)]
    contrast: Option<f32>,
    /// More or less colour, in percent.
    #[param(minimum = -100, maximum = 100)]
    saturation: Option<f32>,
    /// Degrees clockwise.
    #[param(pattern = "^(0|90|180|270)$", example = "90")]
    rotate: Option<String>,
    /// What changes places.
    #[param(pattern = "^(horizontal|vertical|both)$")]
    flip: Option<String>,
    /// How well a lossy format is encoded: 1 to 100, or `auto`.
    #[param(pattern = "^(auto|[1-9][0-9]?|100)$", example = "80")]
    quality: Option<String>,
    /// The most bytes of a lossy format, as far as quality can do that.
    #[param(minimum = 1)]
    max_bytes: Option<u64>,
    /// A colour behind what can be seen through.
    #[param(pattern = "^[0-9a-fA-F]{6}$", example = "ffffff")]
    background: Option<String>,
    /// What crop and cover keep.
    #[param(pattern = "^(smart|center|north|northeast|east|southeast|south|southwest|west|northwest)$")]
    gravity: Option<String>,
    /// Pixels of the screen for one of the page.
    #[param(minimum = 0.25, maximum = 8)]
    dpr: Option<f32>,
}

/// The key of an operator.
struct Key;

impl Modify for Key {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Token")));
        openapi.components.get_or_insert_default().add_security_scheme("api_key", scheme);
    }
}

#[derive(OpenApi)]
#[openapi(
    info(description = "An image host that makes thumbnails on the GPU: a drop-in for pict-rs 0.2."),
    paths(
        upload::upload,
        download::download,
        backgrounded::upload,
        backgrounded::claim,
        backgrounded::process,
        original::original,
        original::by_query,
        process::process,
        process::preset,
        details::original,
        details::by_query,
        details::variant,
        details::blurhash,
        delete::delete,
        delete::delete_by_get,
        health::healthz,
        health::readyz,
        metrics::metrics,
        internal::import,
        internal::purge,
        internal::delete,
        internal::identifier,
        internal::export,
        limits::limits,
        prune::prune_missing,
        stand_in::set,
        hashes::hashes,
        internal::aliases,
        internal::filename,
        overview::overview,
        internal::drop_variants,
    ),
    tags(
        (name = "pictures", description = "Uploads, originals, deletes"),
        (name = "variants", description = "Pictures in other sizes, looks and formats"),
        (name = "details", description = "What is known of pictures"),
        (name = "operations", description = "How the server is"),
        (name = "internal", description = "Behind the API key")
    ),
    modifiers(&Key)
)]
struct Api;

/// Written once. It cannot fail: all of it is text.
static JSON: LazyLock<Bytes> = LazyLock::new(|| Api::openapi().to_json().unwrap_or_default().into());

/// The API as OpenAPI 3.1.
pub(super) async fn openapi() -> impl IntoResponse {
    const HEAD: [(HeaderName, HeaderValue); 1] = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (HEAD, JSON.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::{Asked, Filter, Limits};

    #[test]
    fn it_has_every_filter_and_parameter() {
        let api: Value = serde_json::from_slice(&JSON).unwrap();
        assert_eq!(api["openapi"], "3.1.0");
        let limited = |method: &str, path: &str| {
            let parameters = api["paths"][path][method]["parameters"].as_array().unwrap();
            let named = |name: &str| parameters.iter().any(|one| one["name"] == name);
            Limits::NAMES.into_iter().chain(Filter::NAMES).chain(Asked::PARAMETERS).all(named)
        };
        assert!(limited("post", "/image") && limited("post", "/internal/import") && limited("get", "/image/download"));
        for path in ["/image/process.{ext}", "/image/details/process.{ext}"] {
            let parameters = api["paths"][path]["get"]["parameters"].as_array().unwrap();
            let mut named: Vec<&str> = parameters.iter().map(|one| one["name"].as_str().unwrap()).collect();
            let mut wanted: Vec<&str> =
                Filter::NAMES.into_iter().chain(Asked::PARAMETERS).chain(["src", "alias", "proxy", "ext"]).collect();
            named.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(named, wanted, "{path}");
        }
        for operation in api["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
        {
            assert!(operation["responses"]["default"].is_object(), "{operation}");
        }
    }
}
