//! What pict-rs 0.5 calls the errors that both have, for a server that answers like it: `--compat 0.5`.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::header::CONTENT_LENGTH,
    middleware::Next,
    response::Response,
};
use serde::Deserialize;

use super::{Body as Told, Code};
use crate::domain::Compat;

/// More than any error has.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The name that 0.5 has for what is `code` here; `None` where it has no other, or no such error.
fn renamed(code: &str) -> Option<&'static str> {
    Some(match code {
        "unknown-alias" | "unknown-file" | "no-such-variant" => "alias-not-found",
        "wrong-delete-token" => "invalid-delete-token",
        "alias-taken" => "duplicate-alias",
        "unknown-format" => "invalid-file-extension",
        "unreadable-filter" | "filter-too-large" | "too-many-filters" => "invalid-process-path",
        "unreadable-body" => "invalid-json",
        "missing-parameter" | "missing-src" => "invalid-query",
        "no-files" => "validate-no-files",
        "broken-form" | "too-many-files" => "file-upload-error",
        "file-too-large" | "request-too-large" => "validate-file-size",
        "too-many-pixels" | "too-many-animation-pixels" => "validate-area",
        "too-many-frames" => "validate-frames",
        "download-failed" | "download-refused" | "download-disabled" => "download-file-error",
        "unusable-url" => "http-client-error",
        "timed-out" => "command-timeout",
        "external-validation-unanswered" => "http-client-error",
        "internal-error" => "unknown-error",
        _ => return None,
    })
}

/// What is said in the place of `code`.
pub(in super::super) fn told_code(code: &str, compat: Compat) -> &str {
    match compat {
        Compat::V02 => code,
        Compat::V05 => renamed(code).unwrap_or(code),
    }
}

/// Gives errors the codes of 0.5. Status and message stay, and what the operator is shown keeps our codes.
pub(in super::super) async fn rename(request: Request, next: Next) -> Response {
    /// What is kept of a body.
    #[derive(Deserialize)]
    struct Said {
        msg: String,
    }
    let response = next.run(request).await;
    let code = response.extensions().get::<Code>().and_then(|code| renamed(code.0));
    let Some(code) = code else { return response };
    let (mut parts, body) = response.into_parts();
    // The answer to HEAD has none.
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
    let said = serde_json::from_slice::<Said>(&bytes).ok();
    let told = said.and_then(|said| serde_json::to_vec(&Told { code, msg: &said.msg }).ok());
    let Some(told) = told else { return Response::from_parts(parts, Body::from(bytes)) };
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_know_is_renamed_and_what_is_ours_is_not() {
        assert_eq!(renamed("unknown-alias"), Some("alias-not-found"));
        assert_eq!(renamed("unreadable-filter"), Some("invalid-process-path"));
        for ours in ["busy-queue", "not-an-image", "request-timeout", "range-not-satisfiable", "validate-width", ""] {
            assert_eq!(renamed(ours), None, "{ours}");
        }
    }

    /// A name that is not given any more would never be renamed.
    #[test]
    fn whatever_is_renamed_is_a_code_of_ours() {
        let (own, ours) = (include_str!("codes.rs"), [include_str!("../error.rs"), include_str!("causes.rs")].concat());
        let arms = own.split("Some(match code {").nth(1).and_then(|rest| rest.split("_ => return").next()).unwrap();
        let mut seen = 0;
        for arm in arms.lines().filter_map(|line| line.split_once("=>")) {
            for code in arm.0.split('"').skip(1).step_by(2) {
                assert!(ours.contains(&format!("\"{code}\"")), "{code}");
                seen += 1;
            }
        }
        assert!(seen > 15, "only {seen} were seen");
    }
}
