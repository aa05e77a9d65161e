//! Multipart bodies, written by hand so that every dialect can be spoken.

use reqwest::RequestBuilder;

const BOUNDARY: &str = "----glimt7MA4YWxkTrZu0gW";

/// A `multipart/form-data` body in the making.
#[derive(Clone, Default)]
pub(crate) struct Form {
    body: Vec<u8>,
}

impl Form {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A picture in `images[]`, as every client sends it.
    pub(crate) fn file(self, filename: &str, bytes: &[u8]) -> Self {
        let disposition = format!(r#"form-data; name="images[]"; filename="{filename}""#);
        self.part(&[("Content-Disposition", &disposition), ("Content-Type", "application/octet-stream")], bytes)
    }

    /// One picture after the other.
    pub(crate) fn files<B: AsRef<[u8]>>(pictures: impl IntoIterator<Item = B>) -> Self {
        pictures.into_iter().fold(Self::new(), |form, picture| form.file("picture", picture.as_ref()))
    }

    /// A text field.
    pub(crate) fn text(self, name: &str, value: &str) -> Self {
        self.part(&[("Content-Disposition", &format!(r#"form-data; name="{name}""#))], value.as_bytes())
    }

    /// A part with these headers.
    pub(crate) fn part(self, headers: &[(&str, &str)], bytes: &[u8]) -> Self {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.part_after(lines.as_bytes(), bytes)
    }

    /// A part with this disposition and nothing else; the disposition need not be text.
    pub(crate) fn disposition(self, disposition: &[u8], bytes: &[u8]) -> Self {
        self.part_after(&[b"Content-Disposition: ", disposition, b"\r\n"].concat(), bytes)
    }

    fn part_after(mut self, head: &[u8], bytes: &[u8]) -> Self {
        self.body.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        self.body.extend_from_slice(head);
        self.body.extend_from_slice(b"\r\n");
        self.body.extend_from_slice(bytes);
        self.body.extend_from_slice(b"\r\n");
        self
    }

    /// The whole body, with its last boundary.
    pub(crate) fn body(&self) -> Vec<u8> {
        [self.open_body(), format!("--{BOUNDARY}--\r\n").into_bytes()].concat()
    }

    /// The body without its last boundary.
    pub(crate) fn open_body(&self) -> Vec<u8> {
        self.body.clone()
    }

    pub(crate) fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    /// The request with this form as its body.
    pub(crate) fn on(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("Content-Type", Self::content_type()).body(self.body())
    }
}
