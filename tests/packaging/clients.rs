//! Clients of others, unmodified and from their registries, against the program: pythorhead and lemmy-js-client, as a bot and a page of Lemmy
//! use them, with nginx in front where Lemmy maps `/pictrs/` to its image host. `make compat` has those that take minutes to build.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{output, text, top};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether both clients are here, and what stands in front; they have to be where `REQUIRE_CLIENTS=1`.
fn are_installed() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import pythorhead"]);
    let mut node = Command::new("node");
    node.args(["-e", "require('lemmy-js-client')"]);
    let mut nginx = Command::new("nginx");
    nginx.arg("-v");
    let missing: Vec<_> = [("pythorhead", python), ("lemmy-js-client", node), ("nginx", nginx)]
        .into_iter()
        .filter_map(|(name, mut command)| {
            let found = command.output().is_ok_and(|asked| asked.status.success());
            (!found).then_some(name)
        })
        .collect();
    assert!(
        missing.is_empty() || std::env::var_os("REQUIRE_CLIENTS").is_none(),
        "REQUIRE_CLIENTS is set, and there is no {missing:?}"
    );
    if !missing.is_empty() {
        println!("skipped: no {}", missing.join(", no "));
    }
    missing.is_empty()
}

/// A process that is killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already when the test has stopped it.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An answer to a browser.
struct Answer {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Answer {
    /// The picture that it is, which has to be of this format.
    #[track_caller]
    fn picture(&self, format: ImageFormat) -> RgbImage {
        assert_eq!((self.status, self.content_type.as_str()), (200, format.to_mime_type()));
        assert_eq!(image::guess_format(&self.body).unwrap(), format);
        image::load_from_memory(&self.body).unwrap().to_rgb8()
    }
}

/// The program, with nginx in front of it.
struct Host {
    glimt: Process,
    _nginx: Process,
    browser: reqwest::Client,
    /// Where the image host is, and where Lemmy is.
    glimt_url: String,
    lemmy_url: String,
    folder: TempDir,
}

impl Host {
    /// Starts both, and waits until they answer.
    async fn like(compat: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (glimt_at, lemmy_at) = (free_port(), free_port());
        let mut glimt = Command::new(env!("CARGO_BIN_EXE_glimt"));
        for (name, _value) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("GLIMT_") || name.starts_with("PICTRS_")) {
                glimt.env_remove(name);
            }
        }
        glimt.env("GLIMT_BACKEND", "cpu").args(["--compat", compat, "--max-file-size", "1", "--path"]);
        glimt.arg(folder.path().join("data")).arg("--addr").arg(format!("127.0.0.1:{glimt_at}"));
        let log = fs::File::create(folder.path().join("glimt.log")).unwrap();
        let glimt = glimt.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let glimt = Process(glimt);

        let front = text("tests/packaging/clients/front.conf")
            .replace("PORT", &lemmy_at.to_string())
            .replace("GLIMT", &format!("127.0.0.1:{glimt_at}"))
            .replace("FOLDER", folder.path().to_str().unwrap());
        let path = folder.path().join("front.conf");
        fs::write(&path, front.trim_start()).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(&path).arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("nginx.log"));
        let nginx = Process(nginx.stdin(Stdio::null()).spawn().unwrap());

        // Without TLS here, but it asks for one who knows it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let browser = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let mut host =
            Self { glimt, _nginx: nginx, browser, glimt_url: url(glimt_at), lemmy_url: url(lemmy_at), folder };
        let begun = Instant::now();
        let ready = format!("{}/pictrs/readyz", host.lemmy_url);
        while !host.browser.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
            let ended = host.glimt.0.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "nobody answers ({ended:?}): {}", host.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        host
    }

    fn logs(&self) -> String {
        ["glimt.log", "nginx.log"]
            .map(|name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// A file in the folder, for a client to upload.
    fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What a browser gets.
    async fn get(&self, url: &str) -> Answer {
        let answer = self.browser.get(url).send().await.unwrap();
        let content_type = answer.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
        Answer { status: answer.status().as_u16(), content_type, body: answer.bytes().await.unwrap().to_vec() }
    }

    /// What the page shows of a picture of 300 by 200: all of it, and the sizes and formats that Lemmy's page asks for.
    async fn shows(&self, url: &str, original: &[u8]) {
        assert!(self.get(url).await.body == original, "an original is served as it was uploaded");
        for (query, format, size) in [
            ("?format=webp&thumbnail=96", ImageFormat::WebP, (96, 64)),
            ("?thumbnail=256&format=jpg", ImageFormat::Jpeg, (256, 170)),
            ("?format=png", ImageFormat::Png, (300, 200)),
        ] {
            let picture = self.get(&format!("{url}{query}")).await.picture(format);
            assert_eq!(picture.dimensions(), size, "{query}");
        }
    }

    /// That a picture is neither with Lemmy nor with the image host.
    async fn has_lost(&self, url: &str) {
        let file = url.rsplit('/').next().unwrap();
        for url in
            [url, &format!("{url}?format=webp&thumbnail=96"), &format!("{}/image/original/{file}", self.glimt_url)]
        {
            assert_eq!(self.get(url).await.status, 404, "{url}");
        }
    }

    /// Ends the program, which has to end well, with no panic in its log.
    fn stop(mut self) {
        assert!(output(Command::new("kill").args(["-TERM", &self.glimt.0.id().to_string()])).status.success());
        let begun = Instant::now();
        while self.glimt.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it does not stop: {}", self.logs());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(self.glimt.0.wait().unwrap().success() && !self.logs().contains("panicked"), "{}", self.logs());
    }
}

/// A client in a process of its own, which calls what it is told to.
struct Client {
    _process: Process,
    calls: ChildStdin,
    answers: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Client {
    fn start(program: &str, driver: &str, host: &Host) -> Self {
        let path: PathBuf = top().join("tests/packaging/clients").join(driver);
        let mut command = Command::new(program);
        command.arg(path).arg(&host.lemmy_url).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        let log = host.folder.path().join("client.log");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let (calls, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { _process: Process(child), calls, answers, log }
    }

    /// What a call returned, or what it raised.
    fn tried<const N: usize>(&mut self, call: [&str; N]) -> Result<Value, String> {
        writeln!(self.calls, "{}", json!(call.as_slice())).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut told: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("{call:?}: {error}: {line:?}: {}", fs::read_to_string(&self.log).unwrap_or_default())
        });
        match told.get("raised") {
            Some(raised) => Err(raised.as_str().unwrap().to_owned()),
            // What JavaScript calls undefined is left out.
            None => Ok(told.get_mut("returned").map_or(Value::Null, Value::take)),
        }
    }

    /// What a call returned.
    #[track_caller]
    fn call<const N: usize>(&mut self, call: [&str; N]) -> Value {
        self.tried(call).unwrap_or_else(|raised| panic!("{call:?} raised {raised}"))
    }
}

/// A text of an answer, which has to be one.
#[track_caller]
fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The names of the fields of an answer, in order.
#[track_caller]
fn fields(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("{value} has no fields"));
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What `details` of a picture of 300 by 200 say to whoever reads them.
#[track_caller]
fn describes(details: &Value, content_type: &str) {
    assert_eq!((details["width"].as_u64(), details["height"].as_u64()), (Some(300), Some(200)), "{details}");
    assert_eq!(details["content_type"], content_type);
    assert!(string(&details["created_at"]).ends_with('Z') && details["frames"].is_null(), "{details}");
}

/// A picture of 300 by 200 that stays what it is: it has no metadata to lose.
fn picture(folder: &Path, name: &str) -> Vec<u8> {
    let at = |at: u32, of: u32| u8::try_from(at * 255 / of).unwrap();
    let picture = RgbImage::from_fn(300, 200, |x, y| Rgb([at(x, 300), at(y, 200), at((x + y) % 100, 100)]));
    picture.save(folder.join(name)).unwrap();
    fs::read(folder.join(name)).unwrap()
}

/// More than a megabyte.
fn too_large() -> Vec<u8> {
    let mut large = Vec::new();
    RgbImage::new(8, 8).write_to(&mut std::io::Cursor::new(&mut large), ImageFormat::Png).unwrap();
    large.resize(1 << 21, 0);
    large
}

/// A bot, which logs in, uploads a file and what it has drawn, and deletes both; twice, as programs do.
async fn a_bot_uploads_and_deletes(compat: &str) {
    let host = Host::like(compat).await;
    let mut bot = Client::start("python3", "bot.py", &host);
    let pinned = text("tests/packaging/clients/requirements.txt");
    assert!(pinned.lines().any(|line| line == format!("pythorhead=={}", string(&bot.call(["version"])))));
    assert_eq!(bot.call(["instance_version"]), "0.18.5");
    let jpeg = picture(host.folder.path(), "photo.jpg");
    let path = host.put("photo.jpg", &jpeg);

    // Nobody is logged in: what Lemmy refuses gets no further.
    assert_eq!(bot.call(["upload", &path]), Value::Null);
    assert_eq!(bot.call(["log_in", "a bot", "a password"]), true);

    let uploaded = bot.call(["upload", &path]);
    let [file] = uploaded.as_array().unwrap().as_slice() else { panic!("one was uploaded, not {uploaded}") };
    assert_eq!(fields(file), ["delete_url", "details", "image_url"]);
    describes(&file["details"], "image/jpeg");
    let (url, delete_url) = (string(&file["image_url"]), string(&file["delete_url"]));
    assert!(url.starts_with(&format!("{}/pictrs/image/", host.lemmy_url)) && url.ends_with(".jpg"), "{url}");
    host.shows(&url, &jpeg).await;

    // What is drawn is sent as a WebP, under the name of the field.
    let drawn = bot.call(["upload_pillow", &path]);
    describes(&drawn[0]["details"], "image/webp");
    let drawn_url = string(&drawn[0]["image_url"]);
    assert_eq!(host.get(&drawn_url).await.picture(ImageFormat::WebP).dimensions(), (300, 200));

    let text = host.put("text.jpg", b"no picture");
    assert_eq!(bot.call(["upload", &text]), Value::Null);
    let raised = bot.tried(["upload_strictly", &text]).unwrap_err();
    assert!(raised.contains(r#""code":"not-an-image""#), "{raised}");
    let raised = bot.tried(["upload_strictly", &host.put("large.png", &too_large())]).unwrap_err();
    let code = if compat == "0.5" { "validate-file-size" } else { "file-too-large" };
    assert!(raised.contains(code) && raised.contains("1048576"), "{raised}");

    assert_eq!(bot.call(["delete", &delete_url]), true);
    host.has_lost(&url).await;
    // The other one stays.
    assert_eq!(host.get(&drawn_url).await.status, 200);
    // pythorhead asks the nothing that it makes of a refusal whether it was fine; 0.5 does not refuse.
    match (compat, bot.tried(["delete", &delete_url])) {
        ("0.2", Err(raised)) => assert_eq!(raised, "AttributeError: 'NoneType' object has no attribute 'ok'"),
        ("0.5", Ok(told)) => assert_eq!(told, true),
        (_, other) => panic!("like {compat} the second time is {other:?}"),
    }
    assert_eq!(bot.call(["delete", &string(&drawn[0]["delete_url"])]), true);
    host.has_lost(&drawn_url).await;
    host.stop();
}

/// The page of Lemmy, as far as this client is in it.
async fn a_page_uploads_and_deletes(compat: &str) {
    let host = Host::like(compat).await;
    let mut page = Client::start("node", "page.mjs", &host);
    let png = picture(host.folder.path(), "drawing.png");
    let path = host.put("drawing.png", &png);
    let jwt = string(&page.call(["login", "somebody", "a password"])["jwt"]);

    // Nobody is logged in: the answer is Lemmy's, which it hands on.
    let refused = page.call(["uploadImage", &path, "another"]);
    assert_eq!(refused, json!({ "error": "not_logged_in" }));

    let uploaded = page.call(["uploadImage", &path, &jwt]);
    assert_eq!(fields(&uploaded), ["delete_url", "files", "msg", "url"]);
    assert_eq!(uploaded["msg"], "ok");
    let [file] = uploaded["files"].as_array().unwrap().as_slice() else { panic!("one was uploaded, not {uploaded}") };
    describes(&file["details"], "image/png");
    let (url, delete_url) = (string(&uploaded["url"]), string(&uploaded["delete_url"]));
    let (name, token) = (string(&file["file"]), string(&file["delete_token"]));
    // It sends every file as image.jpg; the name is by what is in it.
    assert!(name.ends_with(".png"), "{name}");
    assert_eq!(url, format!("{}/pictrs/image/{name}", host.lemmy_url));
    assert_eq!(delete_url, format!("{}/pictrs/image/delete/{token}/{name}", host.lemmy_url));
    host.shows(&url, &png).await;

    // Its own: outside of a browser it takes bytes, and no `File`, which is what its types say.
    assert_eq!(page.tried(["uploadFile", &path, &jwt]), Err("TypeError: source.on is not a function".to_owned()));

    // By the status alone, without what the answer says.
    let large = host.put("large.png", &too_large());
    assert_eq!(page.call(["uploadImage", &large, &jwt]), json!({ "msg": "too_large" }));
    let refused = page.call(["uploadImage", &host.put("text.png", b"no picture"), &jwt]);
    assert_eq!(fields(&refused), ["code", "msg"]);
    assert!(refused["code"] == "not-an-image" && !string(&refused["msg"]).is_empty(), "{refused}");

    assert_eq!(page.call(["open", &delete_url]), 204);
    host.has_lost(&url).await;
    assert_eq!(page.call(["open", &delete_url]), if compat == "0.5" { 204 } else { 404 });
    host.stop();
}

#[tokio::test]
async fn pythorhead_uploads_shows_and_deletes() {
    if are_installed() {
        a_bot_uploads_and_deletes("0.2").await;
        a_bot_uploads_and_deletes("0.5").await;
    }
}

#[tokio::test]
async fn lemmy_js_client_uploads_shows_and_deletes() {
    if are_installed() {
        a_page_uploads_and_deletes("0.2").await;
        a_page_uploads_and_deletes("0.5").await;
    }
}
