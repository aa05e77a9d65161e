//! Requests as a client sends them, and answers held against what every answer owes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;

use crate::form::Form;

/// The only caching rule that images are served with.
pub(crate) const CACHE_CONTROL: &str = "public, max-age=86400, immutable";

/// One server, as a client knows it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// One file of an upload's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uploaded {
    pub(crate) file: String,
    pub(crate) delete_token: String,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8080`.
    pub(crate) fn new(base: &str) -> Self {
        // Another test may have been first; one provider is as good as the other.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self::over(http, base)
    }

    /// The same through this client.
    pub(crate) fn over(http: reqwest::Client, base: &str) -> Self {
        Self { http, base: base.to_owned() }
    }

    /// A request to be completed and [`sent`].
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        sent(self.request("GET", path)).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request =
            headers.iter().fold(self.request("GET", path), |request, (name, value)| request.header(*name, *value));
        sent(request).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str) -> Answer {
        sent(self.request(method, path)).await
    }

    /// A request to `/internal` with this key.
    pub(crate) async fn keyed(&self, key: &str, method: &str, path: &str) -> Answer {
        sent(self.request(method, path).header("X-Api-Token", key)).await
    }

    /// `POST /image` with this form.
    pub(crate) async fn post(&self, form: Form) -> Answer {
        sent(form.on(self.request("POST", "/image"))).await
    }

    /// `POST /internal/import` with this form.
    pub(crate) async fn import(&self, key: &str, form: Form) -> Answer {
        sent(form.on(self.request("POST", "/internal/import")).header("X-Api-Token", key)).await
    }

    /// Uploads one picture, which must work.
    #[track_caller]
    pub(crate) fn upload(&self, picture: &[u8]) -> impl Future<Output = Uploaded> {
        let answer = self.post(Form::new().file("picture", picture));
        async move { answer.await.uploaded().remove(0) }
    }

    /// The served original, which must be there.
    pub(crate) async fn original(&self, file: &str) -> Answer {
        let answer = self.get(&format!("/image/original/{file}")).await;
        answer.is(200);
        answer
    }

    /// `process.{ext}?src={file}&{filters}`, which must work.
    pub(crate) async fn process(&self, ext: &str, file: &str, filters: &str) -> Answer {
        let answer = self.get(&format!("/image/process.{ext}?src={file}&{filters}")).await;
        answer.is(200);
        answer
    }

    /// Deletes an alias with its own token, which must work.
    pub(crate) async fn delete(&self, uploaded: &Uploaded) {
        let path = format!("/image/delete/{}/{}", uploaded.delete_token, uploaded.file);
        self.send("DELETE", &path).await.is(204);
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn sent(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap() }
}

impl Answer {
    /// Fails unless the status is this one.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) {
        assert_eq!(self.status, status, "the answer was {:?}", self.shown());
    }

    /// The body as text, cut to a length fit for a message.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }

    /// The header's value; fails when there is none, or more than one.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().unwrap_or_else(|| panic!("no {name} among {:?}", self.headers));
        assert!(values.next().is_none(), "{name} stands more than once in {:?}", self.headers);
        value.to_str().unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    /// The files of a `201`, the body held against the contract to the byte. What is known of a picture stands beside its name.
    #[track_caller]
    pub(crate) fn uploaded(&self) -> Vec<Uploaded> {
        self.is(201);
        let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
        let told = self.json()["files"].as_array().unwrap().clone();
        let files: Vec<_> = told
            .iter()
            .map(|file| Uploaded { file: text(file, "file"), delete_token: text(file, "delete_token") })
            .collect();
        let shown = files.iter().zip(&told).map(|(Uploaded { file, delete_token }, told)| {
            assert!(told["details"].is_object(), "{told}");
            format!(
                r#"{{"delete_token":"{delete_token}","details":{},"file":{}}}"#,
                told["details"],
                Value::from(file.as_str())
            )
        });
        let shown: Vec<_> = shown.collect();
        assert_eq!(self.shown_whole(), format!(r#"{{"files":[{}],"msg":"ok"}}"#, shown.join(",")));
        for file in &files {
            assert!(is_token(&file.delete_token), "{file:?}");
        }
        files
    }

    /// The message of an error with this status, its shape held against the contract: JSON of `code` and `msg` to the
    /// byte, and a request id.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        self.is(status);
        let json = self.json();
        let (code, msg) = (json["code"].as_str().unwrap(), json["msg"].as_str().unwrap());
        assert_eq!(self.shown_whole(), format!(r#"{{"code":{},"msg":{}}}"#, Value::from(code), Value::from(msg)));
        assert!(is_kebab(code), "{code:?} is not kebab-case");
        assert!(!msg.trim().is_empty(), "an error without a message");
        assert!(!self.header("x-request-id").is_empty());
        msg.to_owned()
    }

    /// The message of an error with one of these statuses.
    #[track_caller]
    pub(crate) fn error_in(&self, statuses: &[u16]) -> String {
        assert!(statuses.contains(&self.status), "{} is none of {statuses:?}: {}", self.status, self.shown());
        self.error(self.status)
    }

    /// Fails unless this is the picture under this media type, with all that an image is served with.
    #[track_caller]
    pub(crate) fn is_image(&self, media_type: &str) {
        self.is(200);
        assert_eq!(self.header("content-type"), media_type);
        assert_eq!(self.header("content-length"), self.body.len().to_string());
        assert_eq!(self.header("cache-control"), CACHE_CONTROL);
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        assert!(!self.has("content-encoding"));
        let etag = self.header("etag");
        assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag} is no strong entity tag");
        let modified = httpdate::parse_http_date(self.header("last-modified")).unwrap();
        assert!(modified <= std::time::SystemTime::now());
        assert_eq!(sniffed(&self.body), Some(media_type), "the bytes are not what Content-Type says");
    }

    pub(crate) fn shown_whole(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Ten letters and digits.
pub(crate) fn is_token(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Ten letters and digits, a dot, and this extension.
pub(crate) fn is_alias(text: &str, extension: &str) -> bool {
    text.split_once('.').is_some_and(|(stem, rest)| is_token(stem) && rest == extension)
}

/// The media type that the first bytes of a picture say.
pub(crate) fn sniffed(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f', ..] => Some("image/avif"),
        _ => None,
    }
}

fn is_kebab(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split('-').all(word)
}

#[test]
fn the_checks_of_this_harness_fail_what_they_should() {
    assert!(is_kebab("not-found") && !is_kebab("NotFound") && !is_kebab("a--b") && !is_kebab(""));
    assert!(is_alias("lkWZDRvugm.jpg", "jpg") && !is_alias("lkWZDRvugm.jpg", "png") && !is_alias("short.jpg", "jpg"));
    assert!(is_token("JFvFhqJA98") && !is_token("JFvFhqJA9-") && !is_token("JFvFhqJA981"));
}
