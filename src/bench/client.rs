//! A client of the bench: one connection that is kept, with no more HTTP than it takes to be no burden beside the server.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

/// What parts the form of an upload.
const BOUNDARY: &str = "glimt-bench-6ec5ce9b";

/// One connection.
pub(super) struct Client {
    stream: BufStream<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufStream::new(stream), body: Vec::new() })
    }

    /// The status and the body of the answer.
    pub(super) async fn get(&mut self, path: &str) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes()).await?;
        self.answer().await
    }

    /// The same for a picture that is uploaded.
    pub(super) async fn upload(&mut self, picture: &[u8]) -> io::Result<(u16, &[u8])> {
        let begin = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"images[]\"; filename=\"a.jpg\"\r\n\
             content-type: image/jpeg\r\n\r\n"
        );
        let end = format!("\r\n--{BOUNDARY}--\r\n");
        let length = begin.len() + picture.len() + end.len();
        let head = format!(
            "POST /image HTTP/1.1\r\nhost: bench\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\n\
             content-length: {length}\r\n\r\n"
        );
        for part in [head.as_bytes(), begin.as_bytes(), picture, end.as_bytes()] {
            self.stream.write_all(part).await?;
        }
        self.answer().await
    }

    async fn answer(&mut self) -> io::Result<(u16, &[u8])> {
        self.stream.flush().await?;
        let (mut line, mut status, mut length) = (String::new(), None, 0);
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await?;
        let status = status.ok_or_else(|| io::Error::other("the server speaks no HTTP"))?;
        Ok((status, &self.body))
    }
}
