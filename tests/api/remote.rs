//! Another server that pictures are downloaded from: answers whatever a test puts there, byte by byte.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// A server on the loopback address that closes after each answer.
pub(crate) struct Remote {
    pub(crate) port: u16,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Remote {
    /// Serves these raw answers by path. Unknown paths are 404.
    pub(crate) async fn serving(answers: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Arc<HashMap<_, _>> = Arc::new(answers.into_iter().collect());
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _peer) = listener.accept().await.unwrap();
                let answers = Arc::clone(&answers);
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => request.push(byte),
                            Err(_gone) => return,
                        }
                    }
                    let line = String::from_utf8(request).unwrap();
                    let path = line.split(' ').nth(1).unwrap();
                    let missing = response("404 Not Found", &[], b"nothing here");
                    // A client that has heard enough may be gone.
                    let _written = stream.write_all(answers.get(path).unwrap_or(&missing)).await;
                });
            }
        });
        Self { port, asked, task }
    }

    /// How often something was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The percent-encoded URL of a path here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http%3A%2F%2F127.0.0.1%3A{}{}", self.port, path.replace('/', "%2F").replace('?', "%3F"))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole answer with its length.
pub(crate) fn response(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An answer that lasts as long as the connection.
pub(crate) fn until_close(body: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", body].concat()
}

/// An answer that promises more than it sends.
pub(crate) fn cut_off(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len() * 2);
    [head.as_bytes(), body].concat()
}
