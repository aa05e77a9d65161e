//! A client that blocks, on one kept connection, and that knows whether an answer came whole.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// The API key of every server here.
pub(crate) const KEY: &str = "an api key";

/// Longer than anything that the server may take for one request.
const PATIENCE: Duration = Duration::from_secs(90);

const BOUNDARY: &str = "----faults7MA4YWxkTrZu0gW";

/// One client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    addr: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// An answer that was read to its last byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media_type: String,
    pub(crate) body: Vec<u8>,
}

/// One file of the answer to an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uploaded {
    pub(crate) file: String,
    pub(crate) token: String,
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, stream: None }
    }

    /// Sends one request and reads its answer. After an error nobody knows what became of the request.
    pub(crate) fn send(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.addr)?,
        };
        // In one piece, or the second would wait for an acknowledgement of the first.
        let mut request = head(method, target, headers, body.len()).into_bytes();
        request.extend_from_slice(body);
        stream.get_mut().write_all(&request)?;
        let (answer, is_kept) = read_answer(&mut stream, method)?;
        self.stream = is_kept.then_some(stream);
        Ok(answer)
    }

    pub(crate) fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.send("GET", target, "", b"")
    }

    /// A request to `/internal`.
    pub(crate) fn keyed(&mut self, method: &str, target: &str) -> io::Result<Answer> {
        self.send(method, target, &format!("x-api-token: {KEY}\r\n"), b"")
    }

    pub(crate) fn upload(&mut self, pictures: &[&[u8]]) -> io::Result<Answer> {
        let files: Vec<_> = pictures.iter().map(|picture| ("picture.png", *picture)).collect();
        let (headers, body) = form(&files);
        self.send("POST", "/image", &headers, &body)
    }

    /// An import under `name`.
    pub(crate) fn import(&mut self, name: &str, picture: &[u8]) -> io::Result<Answer> {
        let (headers, body) = form(&[(name, picture)]);
        self.send("POST", "/internal/import", &format!("{headers}x-api-token: {KEY}\r\n"), &body)
    }

    pub(crate) fn original(&mut self, file: &str) -> io::Result<Answer> {
        self.get(&format!("/image/original/{file}"))
    }

    pub(crate) fn delete(&mut self, uploaded: &Uploaded) -> io::Result<Answer> {
        self.send("DELETE", &format!("/image/delete/{}/{}", uploaded.token, uploaded.file), "", b"")
    }

    pub(crate) fn purge(&mut self, alias: &str) -> io::Result<Answer> {
        self.keyed("POST", &format!("/internal/purge?alias={alias}"))
    }

    /// Every alias of the stored file of this name.
    pub(crate) fn aliases_of(&mut self, stored: &str) -> io::Result<Answer> {
        self.keyed("GET", &format!("/internal/aliases?file={stored}"))
    }

    /// What `/metrics` says of each metric, by its name with its labels.
    pub(crate) fn metrics(&mut self) -> io::Result<BTreeMap<String, f64>> {
        let page = self.get("/metrics")?;
        let text = String::from_utf8_lossy(&page.body).into_owned();
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Ok(samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// Whether it says that it is ready.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.get("/readyz").is_ok_and(|answer| answer.status == 200)
    }
}

pub(crate) fn connect(addr: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// The head of a request with a body of so many bytes.
pub(crate) fn head(method: &str, target: &str, headers: &str, length: usize) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: faults\r\ncontent-length: {length}\r\n{headers}\r\n")
}

/// The header and the body of a form with these files.
pub(crate) fn form(files: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, bytes) in files {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        let disposition = format!("Content-Disposition: form-data; name=\"images[]\"; filename=\"{name}\"\r\n\r\n");
        body.extend_from_slice(disposition.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("content-type: multipart/form-data; boundary={BOUNDARY}\r\n"), body)
}

/// Reads an answer to its end, and whether the connection may be used again.
fn read_answer(stream: &mut BufReader<TcpStream>, method: &str) -> io::Result<(Answer, bool)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(|| bad(&format!("no status in {line:?}")))?;
    let (mut length, mut is_kept, mut media_type) = (None, true, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.trim_end().split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse::<usize>().ok(),
            "connection" => is_kept = value != "close",
            "content-type" => value.clone_into(&mut media_type),
            _ => {}
        }
    }
    let is_empty = method == "HEAD" || status == 204 || status == 304;
    let length = if is_empty { 0 } else { length.ok_or_else(|| bad("no content-length"))? };
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((Answer { status, media_type, body }, is_kept))
}

impl Answer {
    /// The body as JSON; [`Value::Null`] when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The files of a `201`.
    pub(crate) fn uploaded(&self) -> Vec<Uploaded> {
        let json = self.json();
        let files = json["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |file: &Value, key: &str| file[key].as_str().unwrap_or_default().to_owned();
        files.iter().map(|file| Uploaded { file: text(file, "file"), token: text(file, "delete_token") }).collect()
    }

    /// The aliases of a purge or of a listing.
    pub(crate) fn aliases(&self) -> Vec<String> {
        let json = self.json();
        let aliases = json["aliases"].as_array().map(Vec::as_slice).unwrap_or_default();
        aliases.iter().filter_map(|alias| Some(alias.as_str()?.to_owned())).collect()
    }

    /// Whether it is an error as every error has to be: JSON with a code and a message.
    pub(crate) fn is_clear_error(&self) -> bool {
        let json = self.json();
        let has = |key: &str| json[key].as_str().is_some_and(|text| !text.is_empty());
        self.status >= 400 && self.media_type == "application/json" && has("code") && has("msg")
    }

    /// For messages: the status, and the body as far as it is text.
    pub(crate) fn shown(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(200).collect();
        format!("{} {text:?}", self.status)
    }
}
