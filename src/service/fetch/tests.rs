//! Downloads from servers that misbehave, all of them on this machine's loopback.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

/// A server on loopback that answers a request for a path with the bytes and silence that its script names.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// What a server does next on a connection.
enum Step {
    Send(Vec<u8>),
    Wait(Duration),
}

fn send(text: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Send(text.into())]
}

fn ok(body: &str) -> Vec<Step> {
    send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

fn moved(to: &str) -> Vec<Step> {
    send(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"))
}

impl Server {
    async fn start(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move { serve(stream, &*script, &log).await });
            }
        });
        Self { address, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of the requests that came.
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// The first byte of a TLS client.
const TLS_HANDSHAKE: u8 = 0x16;

async fn serve(mut stream: TcpStream, script: &(dyn Fn(&str) -> Vec<Step> + Send + Sync), log: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        if head.is_empty() && byte == [TLS_HANDSHAKE] {
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
            return;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    log.lock().unwrap().push(head);
    for step in script(&path) {
        let done = match step {
            Step::Send(bytes) => stream.write_all(&bytes).await,
            Step::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        };
        if done.is_err() {
            return;
        }
    }
}

/// Loopback allowed; waits long enough for a busy machine, except where a test is about waiting.
fn options() -> FetchOptions {
    FetchOptions { allow: vec!["127.0.0.0/8".parse().unwrap()], ..FetchOptions::default() }
}

fn fetcher() -> Fetcher {
    Fetcher::new(options()).unwrap()
}

async fn body(mut download: Download) -> Result<String, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        body.extend(chunk);
    }
    Ok(String::from_utf8(body).unwrap())
}

/// What becomes of the whole download.
async fn fetch(fetcher: &Fetcher, url: &str) -> Result<String, FetchError> {
    body(fetcher.open(url).await?).await
}

/// Names that answer something else at each look-up, in order; the last answer stays.
struct Scripted {
    answers: Vec<Vec<&'static str>>,
    calls: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self { answers: answers.iter().map(|answer| answer.to_vec()).collect(), calls: AtomicUsize::new(0) })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Lookup for Scripted {
    fn lookup(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[call].iter().map(|text| text.parse().unwrap()).collect();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn with(lookup: &Arc<Scripted>) -> Fetcher {
    Fetcher::with_lookup(options(), Arc::clone(lookup) as Arc<dyn Lookup>).unwrap()
}

#[tokio::test]
async fn a_picture_arrives_whole_and_the_request_says_little() {
    let server = Server::start(|_| ok("a picture")).await;
    let download = fetcher().open(&server.url("/a%20b.jpg?c=d#e")).await.unwrap();
    assert_eq!(download.content_length(), Some(9));
    assert_eq!(body(download).await.unwrap(), "a picture");
    let [request] = &server.seen()[..] else { panic!("one request") };
    let request = request.to_lowercase();
    assert!(request.starts_with("get /a%20b.jpg?c=d http/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: glimt/") && request.contains("accept-encoding: identity\r\n"), "{request}");
    for absent in ["cookie", "authorization", "referer", "proxy"] {
        assert!(!request.contains(absent), "{request}");
    }
}

#[tokio::test]
async fn chunked_and_unannounced_bodies_arrive_too() {
    let server = Server::start(|path| match path {
        "/chunked" => send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        _ => send("HTTP/1.0 200 OK\r\n\r\nabcde"),
    })
    .await;
    for path in ["/chunked", "/closed"] {
        let download = fetcher().open(&server.url(path)).await.unwrap();
        assert_eq!(download.content_length(), None);
        assert_eq!(body(download).await.unwrap(), "abcde", "{path}");
    }
}

#[tokio::test]
async fn three_redirects_are_followed_and_four_are_not() {
    let server = Server::start(|path| match path {
        "/4" => moved("/3"),
        "/3" => moved("2"),
        "/2" => moved("/1?x=y"),
        "/1?x=y" => send("HTTP/1.1 307 Temporary Redirect\r\nlocation: /end\r\ncontent-length: 0\r\n\r\n"),
        _ => ok("the end"),
    })
    .await;
    let fetcher = fetcher();
    assert_eq!(fetch(&fetcher, &server.url("/3")).await.unwrap(), "the end");
    assert_eq!(server.seen().len(), 4);
    let error = fetch(&fetcher, &server.url("/4")).await.unwrap_err();
    assert_eq!(error, FetchError::TooManyRedirects { host: "127.0.0.1".to_owned(), max: 3 });
    assert_eq!((error.fault(), server.seen().len()), (Fault::Remote, 8));
}

#[tokio::test]
async fn a_redirect_to_a_refused_address_ends_there() {
    let targets = ["http://169.254.169.254/latest/meta-data/", "//10.0.0.1/", "http://[::1]/", "http://0xa9fea9fe/"];
    for target in targets {
        let server = Server::start(move |_| moved(target)).await;
        let error = fetch(&fetcher(), &server.url("/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{target}: {error}");
        assert_eq!((error.fault(), server.seen().len()), (Fault::Client, 1), "{target}");
    }
    for target in ["ftp://example.org/", "file:///etc/passwd", "http://a:b@127.0.0.1/"] {
        let server = Server::start(move |_| moved(target)).await;
        let error = fetch(&fetcher(), &server.url("/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect { .. }), "{target}: {error}");
        assert_eq!(error.fault(), Fault::Remote, "{target}");
    }
}

#[tokio::test]
async fn other_statuses_are_the_remotes_fault() {
    for (status, line) in [(404, "404 Not Found"), (500, "500 Oops"), (304, "304 Not Modified"), (300, "300 Choose")] {
        let server = Server::start(move |_| send(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))).await;
        let error = fetch(&fetcher(), &server.url("/")).await.unwrap_err();
        assert_eq!(error, FetchError::Status { host: "127.0.0.1".to_owned(), status });
        assert_eq!(error.fault(), Fault::Remote);
    }
    let server = Server::start(|_| send("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n")).await;
    let error = fetch(&fetcher(), &server.url("/")).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
}

#[tokio::test]
async fn a_body_cut_off_half_way_is_no_body() {
    let server = Server::start(|path| match path {
        "/length" => send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
        "/chunk" => send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf"),
        _ => send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    })
    .await;
    for path in ["/length", "/chunk", "/no-last-chunk"] {
        let error = fetch(&fetcher(), &server.url(path)).await.unwrap_err();
        assert_eq!(
            (&error, error.fault()),
            (&FetchError::Cut { host: "127.0.0.1".to_owned() }, Fault::Remote),
            "{path}"
        );
    }
}

#[tokio::test]
async fn answers_that_are_no_http_or_have_huge_heads_are_refused() {
    let server = Server::start(|path| match path {
        "/large" => send(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\nbody", "a".repeat(4 << 20))),
        "/many" => send(format!("HTTP/1.1 200 OK\r\n{}\r\nbody", "x: y\r\n".repeat(101))),
        "/http2" => send("HTTP/2.0 200 OK\r\n\r\n"),
        "/ssh" => send("SSH-2.0-OpenSSH_9.2\r\n"),
        _ => Vec::new(),
    })
    .await;
    for path in ["/large", "/many", "/http2", "/ssh", "/nothing"] {
        let error = fetch(&fetcher(), &server.url(path)).await.unwrap_err();
        assert!(matches!(error, FetchError::Answer { .. }), "{path}: {error}");
        assert_eq!(error.fault(), Fault::Remote);
    }
}

#[tokio::test]
async fn silence_ends_the_download() {
    let long = Duration::from_secs(600);
    let server = Server::start(move |path| match path {
        "/head" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nx: ".to_vec()), Step::Wait(long)],
        _ => vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec()), Step::Wait(long)],
    })
    .await;
    let short = Duration::from_millis(200);
    let fetcher = Fetcher::new(FetchOptions { connect_timeout: short, idle_timeout: short, ..options() }).unwrap();
    for (path, wait, limit) in [("/head", Wait::Answer, short * 2), ("/body", Wait::Bytes, short)] {
        let error = fetch(&fetcher, &server.url(path)).await.unwrap_err();
        assert_eq!(error, FetchError::TimedOut { host: "127.0.0.1".to_owned(), wait, limit }, "{path}");
        assert_eq!(error.fault(), Fault::Remote);
    }
    assert_eq!(
        FetchError::TimedOut { host: "example.org".to_owned(), wait: Wait::Bytes, limit: short }.to_string(),
        "example.org took over 200ms to send the next bytes"
    );
}

#[tokio::test]
async fn a_drip_ends_with_the_total_time() {
    let drip = Duration::from_millis(20);
    let server = Server::start(move |_| {
        let mut steps = send("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        steps.extend((0..1000).flat_map(|_| [Step::Wait(drip), Step::Send(b"x".to_vec())]));
        steps
    })
    .await;
    let total = Duration::from_millis(500);
    let fetcher = Fetcher::new(FetchOptions { total_timeout: total, ..options() }).unwrap();
    let error = fetch(&fetcher, &server.url("/")).await.unwrap_err();
    assert_eq!(error, FetchError::TimedOut { host: "127.0.0.1".to_owned(), wait: Wait::Whole, limit: total });
}

#[tokio::test]
async fn nothing_is_asked_of_loopback_unless_it_is_allowed() {
    let server = Server::start(|_| ok("internal")).await;
    let fetcher = Fetcher::new(FetchOptions::default()).unwrap();
    let localhost = format!("http://localhost:{}/", server.address.port());
    for url in [server.url("/"), localhost, format!("http://127.1:{}/", server.address.port())] {
        let error = fetch(&fetcher, &url).await.unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{url}: {error}");
        assert_eq!(error.fault(), Fault::Client);
    }
    assert_eq!(server.seen(), [""; 0]);
}

#[tokio::test]
async fn one_bad_address_among_good_ones_fails_the_name() {
    let server = Server::start(|_| ok("internal")).await;
    let url = format!("http://cdn.example:{}/", server.address.port());
    for answer in [&["127.0.0.1", "10.0.0.1"][..], &["10.0.0.1", "127.0.0.1"], &["127.0.0.1", "::ffff:7f00:1"]] {
        let lookup = Scripted::new(&[answer]);
        let error = fetch(&with(&lookup), &url).await.unwrap_err();
        assert_eq!(error, FetchError::Refused { host: "cdn.example".to_owned() });
        for address in answer {
            assert!(!error.to_string().contains(address), "{error} tells of {address}");
        }
    }
    assert_eq!(server.seen(), [""; 0]);
    // The control: with good addresses only, the same name is fetched.
    assert_eq!(fetch(&with(&Scripted::new(&[&["127.0.0.1"]])), &url).await.unwrap(), "internal");
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to() {
    let server = Server::start(|_| ok("a picture")).await;
    let url = format!("http://rebind.example:{}/", server.address.port());
    // The second look-up would lead inside; there is none for this connection.
    let lookup = Scripted::new(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let fetcher = with(&lookup);
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), "a picture");
    assert_eq!(lookup.calls(), 1);
    // The next download looks again rather than using the old connection or answer.
    assert_eq!(fetch(&fetcher, &url).await.unwrap_err(), FetchError::Refused { host: "rebind.example".to_owned() });
    assert_eq!((lookup.calls(), server.seen().len()), (2, 1));
}

#[tokio::test]
async fn each_hop_is_looked_up_and_checked_anew() {
    let server = Server::start(|path| if path == "/end" { ok("the end") } else { moved("/end") }).await;
    let url = format!("http://rebind.example:{}/", server.address.port());
    let lookup = Scripted::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    assert_eq!(
        fetch(&with(&lookup), &url).await.unwrap_err(),
        FetchError::Refused { host: "rebind.example".to_owned() }
    );
    assert_eq!((lookup.calls(), server.seen().len()), (2, 1));
    let lookup = Scripted::new(&[&["127.0.0.1"]]);
    assert_eq!(fetch(&with(&lookup), &url).await.unwrap(), "the end");
    assert_eq!(lookup.calls(), 2);
}

#[tokio::test]
async fn names_without_addresses_and_closed_ports_are_the_remotes_fault() {
    let error = fetch(&with(&Scripted::new(&[&[]])), "http://nowhere.example/").await.unwrap_err();
    assert_eq!((&error, error.fault()), (&FetchError::Lookup { host: "nowhere.example".to_owned() }, Fault::Remote));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = fetch(&fetcher(), &format!("http://{closed}/")).await.unwrap_err();
    assert_eq!((&error, error.fault()), (&FetchError::Connect { host: "127.0.0.1".to_owned() }, Fault::Remote));
}

#[tokio::test]
async fn a_look_up_that_never_answers_ends() {
    struct Silent;
    impl Lookup for Silent {
        fn lookup(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            Box::pin(std::future::pending())
        }
    }
    let connect_timeout = Duration::from_millis(200);
    let fetcher = Fetcher::with_lookup(FetchOptions { connect_timeout, ..options() }, Arc::new(Silent)).unwrap();
    let error = fetch(&fetcher, "http://slow.example/").await.unwrap_err();
    let host = "slow.example".to_owned();
    assert_eq!(error, FetchError::TimedOut { host, wait: Wait::Connect, limit: connect_timeout });
}

#[tokio::test]
async fn https_to_a_server_without_tls_cannot_be_connected_to() {
    let server = Server::start(|_| ok("plain")).await;
    let error = fetch(&fetcher(), &server.url("/").replace("http:", "https:")).await.unwrap_err();
    let expected = [FetchError::Connect { host: "127.0.0.1".to_owned() }, FetchError::NoAuthorities];
    assert!(expected.contains(&error), "{error}");
}

#[tokio::test]
async fn downloads_can_be_turned_off() {
    let server = Server::start(|_| ok("a picture")).await;
    let fetcher = Fetcher::new(FetchOptions { enabled: false, ..options() }).unwrap();
    let error = fetch(&fetcher, &server.url("/")).await.unwrap_err();
    assert_eq!((&error, error.fault()), (&FetchError::Disabled, Fault::Client));
    assert_eq!(server.seen(), [""; 0]);
}
