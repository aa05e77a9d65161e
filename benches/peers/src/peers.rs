//! The servers: how each is started, and how it is asked for a picture.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    http::Connection,
    load::{Request, closed},
    photos::Photos,
    watch::Group,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    Glimt { proxies: bool, backend: &'static str },
    Oximg,
    Sharp,
    Ipx,
    Thumbor,
    Nginx,
}

impl Peer {
    pub fn is_glimt(self) -> bool {
        matches!(self, Self::Glimt { .. })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Jpeg,
    WebP,
}

/// What is asked for of a photo.
#[derive(Clone, Copy)]
pub struct Wish {
    /// Of the square that it is to fit, if it is to be reduced.
    pub side: Option<u32>,
    pub blur: Option<f64>,
    pub quality: u32,
    pub format: Format,
}

/// Where things are, and what this machine has.
pub struct Place {
    /// Programs that were installed, and what runs leave behind.
    pub target: PathBuf,
    /// `benches/peers/servers`.
    pub servers: PathBuf,
    pub glimt: PathBuf,
    pub has_proxies: bool,
    /// The backends of glimt that are measured: `cpu`, and `gpu` where there is one.
    pub backends: Vec<&'static str>,
    /// Names of the servers that alone are measured; none for all.
    pub only: Vec<String>,
}

impl Place {
    pub fn new(target: PathBuf, servers: PathBuf, glimt: PathBuf, only: Vec<String>) -> Result<Self> {
        let output = |arguments: &[&str]| -> Result<String> {
            let output = Command::new(&glimt).args(arguments).output().with_context(|| glimt.display().to_string())?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let has_proxies = output(&["--help"])?.contains("--proxy-size");
        let adapters = output(&["gpu-info"])?;
        let has_gpu = adapters.contains(": hardware,");
        let backends = if has_gpu { vec!["cpu", "gpu"] } else { vec!["cpu"] };
        Ok(Self { target, servers, glimt, has_proxies, backends, only })
    }

    /// glimt as it is measured here, with proxies (if it has them) and without.
    pub fn glimts(&self) -> Vec<Peer> {
        let proxies: &[bool] = if self.has_proxies { &[true, false] } else { &[false] };
        let of = |backend| proxies.iter().map(move |&proxies| Peer::Glimt { proxies, backend });
        self.backends.iter().flat_map(|&backend| of(backend)).collect()
    }

    /// Those that make thumbnails.
    pub fn all(&self) -> Vec<Peer> {
        let mut all = self.glimts();
        all.extend([Peer::Oximg, Peer::Sharp, Peer::Ipx, Peer::Thumbor]);
        all.retain(|peer| self.is_wanted(*peer));
        all
    }

    pub fn is_wanted(&self, peer: Peer) -> bool {
        self.only.is_empty() || self.only.contains(&self.name(peer))
    }

    pub fn name(&self, peer: Peer) -> String {
        match peer {
            Peer::Glimt { proxies, backend } => {
                let on = if backend == "cpu" { String::new() } else { format!(" on {backend}") };
                format!("glimt{on}{}", if proxies { "" } else { ", no proxies" })
            }
            Peer::Oximg => "oximg".to_owned(),
            Peer::Sharp => "sharp".to_owned(),
            Peer::Ipx => "ipx".to_owned(),
            Peer::Thumbor => "thumbor".to_owned(),
            Peer::Nginx => "nginx".to_owned(),
        }
    }

    fn node_modules(&self) -> PathBuf {
        self.target.join("npm")
    }
}

/// What a server is to do besides thumbnails.
#[derive(Clone, Copy, Default)]
pub struct Extra {
    /// Take uploads.
    pub uploads: bool,
    /// Keep what was made.
    pub results: bool,
}

/// A running server, ended when dropped.
pub struct Server {
    pub peer: Peer,
    pub name: String,
    pub addr: SocketAddr,
    pub group: Group,
    /// From the start of its process to its first answer.
    pub ready: Duration,
    /// How it calls the photos, in their order.
    photos: Vec<String>,
    child: Child,
    pub folder: TempDir,
}

const START_TIMEOUT: Duration = Duration::from_secs(30);
const UPLOADS_AT_A_TIME: usize = 4;
const BOUNDARY: &str = "peers";

impl Server {
    /// Starts a server on a free port of loopback, waits for its first answer, and hands it the photos: glimt by uploads, the others by
    /// the name of the folder.
    pub async fn start(place: &Place, peer: Peer, photos: &Photos, extra: Extra) -> Result<Self> {
        let name = place.name(peer);
        let mut server =
            Self::spawn(place, peer, photos, extra).await.with_context(|| format!("{name} did not start"))?;
        if !peer.is_glimt() {
            server.photos = photos.photos.iter().map(|photo| photo.file.clone()).collect();
            return Ok(server);
        }
        if !extra.uploads && !photos.photos.is_empty() {
            let requests: Vec<_> = photos.photos.iter().map(|photo| server.upload(&photo.bytes, 0)).collect();
            let (mut answers, _) = closed(server.addr, &requests, UPLOADS_AT_A_TIME).await?;
            answers.sort_by_key(|answered| answered.request);
            for answered in answers {
                ensure!(answered.answer.status == 201, "{name}: an upload was answered {}", answered.answer.status);
                let answer: serde_json::Value = serde_json::from_slice(&answered.answer.body)?;
                server.photos.push(answer["files"][0]["file"].as_str().context("no name")?.to_owned());
            }
            server.group.settle().await;
        }
        Ok(server)
    }

    async fn spawn(place: &Place, peer: Peer, photos: &Photos, extra: Extra) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        fs::create_dir_all(place.target.join("run"))?;
        let folder = tempfile::Builder::new().prefix("peer-").tempdir_in(place.target.join("run"))?;
        // nginx started by root serves as another user.
        let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open)?;
        let uploads = folder.path().join("uploads");
        fs::create_dir(&uploads)?;
        let (mut command, ready) = match peer {
            Peer::Glimt { proxies, backend } => {
                let mut command = Command::new(&place.glimt);
                command
                    .args(["--addr", &addr.to_string(), "--backend", backend, "--path"])
                    .arg(folder.path().join("data"));
                if place.has_proxies && !proxies {
                    command.args(["--proxy-size", "0"]);
                }
                command.env("RUST_LOG", "warn");
                // What is asked for here is what the limit is there to refuse.
                command.env("GLIMT_VARIANTS_PER_PICTURE", "0");
                (command, "/readyz")
            }
            Peer::Oximg => {
                let mut command = Command::new(place.target.join("oximg/bin/oximg"));
                command.env("PORT", port.to_string()).env("OXIMG_BIND", "127.0.0.1").env("IMAGES_DIR", &photos.folder);
                // The second grammar, because it takes a quality.
                command.env("OXIMG_OPTIONS_PREFIX", "/image");
                (command, "/")
            }
            Peer::Sharp => {
                let mut command = node(place, "sharp.mjs");
                command.arg(port.to_string()).arg(&photos.folder).arg(&uploads);
                (command, "/")
            }
            Peer::Ipx => {
                let mut command = node(place, "ipx.mjs");
                command.arg(port.to_string()).arg(&photos.folder);
                (command, "/")
            }
            Peer::Thumbor => {
                let mut command = Command::new(place.target.join("venv/bin/thumbor"));
                command.args(["--processes", "2", "--ip", "127.0.0.1", "--port", &port.to_string(), "--conf"]);
                command.arg(place.servers.join("thumbor.conf")).env("PEERS_FOLDER", &photos.folder);
                if extra.results {
                    command.env("PEERS_RESULTS", folder.path().join("results"));
                }
                if extra.uploads {
                    command.env("PEERS_UPLOADS", &uploads);
                }
                (command, "/healthcheck")
            }
            Peer::Nginx => {
                let configuration = nginx_conf(place, folder.path(), &uploads, port)?;
                let mut command = Command::new("nginx");
                command.arg("-p").arg(folder.path()).arg("-c").arg(configuration);
                (command, "/")
            }
        };
        let log = fs::File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let group = Group(child.id());
        let name = place.name(peer);
        let mut server = Self { peer, name, addr, group, ready: Duration::ZERO, photos: Vec::new(), child, folder };
        server.ready = server.wait(ready, began).await?;
        Ok(server)
    }

    /// Waits for the first answer to a question for `path`: glimt has to say that it is ready, of the others any answer will do.
    async fn wait(&mut self, path: &str, began: Instant) -> Result<Duration> {
        loop {
            if let Ok(mut connection) = Connection::open(self.addr).await
                && let Ok(answer) = connection.get(path).await
                && (answer.status == 200 || !self.peer.is_glimt())
            {
                return Ok(began.elapsed());
            }
            if began.elapsed() > START_TIMEOUT || self.child.try_wait()?.is_some() {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("no answer; it said: {log}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Where the picture that is wished of the photo of this number is asked for.
    pub fn path(&self, photo: usize, wish: &Wish) -> String {
        let (name, quality) = (&self.photos[photo], wish.quality);
        let jpeg_or = |jpeg: &'static str| if wish.format == Format::Jpeg { jpeg } else { "webp" };
        match self.peer {
            Peer::Glimt { .. } => {
                let side = wish.side.map(|side| format!("&thumbnail={side}")).unwrap_or_default();
                let blur = wish.blur.map(|sigma| format!("&blur={sigma}")).unwrap_or_default();
                format!("/image/process.{}?src={name}{side}{blur}&quality={quality}", jpeg_or("jpg"))
            }
            Peer::Oximg => {
                let side = wish.side.unwrap_or(8192);
                format!("/image/width={side},height={side},quality={quality},format={}/{name}", jpeg_or("jpeg"))
            }
            Peer::Sharp => {
                let blur = wish.blur.map(|sigma| format!("?blur={sigma}")).unwrap_or_default();
                format!("/{}/{quality}/{}/{name}{blur}", wish.side.unwrap_or(0), jpeg_or("jpg"))
            }
            Peer::Ipx => {
                let side = wish.side.map(|side| format!("s_{side}x{side},fit_inside,")).unwrap_or_default();
                let blur = wish.blur.map(|sigma| format!("blur_{sigma},")).unwrap_or_default();
                format!("/{side}{blur}q_{quality},f_{}/{name}", jpeg_or("jpeg"))
            }
            Peer::Thumbor => {
                let side = wish.side.map(|side| format!("fit-in/{side}x{side}/")).unwrap_or_default();
                // To three standard deviations.
                let blur =
                    wish.blur.map(|sigma| format!("blur({},{sigma}):", (sigma * 3.0).round())).unwrap_or_default();
                format!("/unsafe/{side}filters:{blur}quality({quality}):format({})/{name}", jpeg_or("jpeg"))
            }
            Peer::Nginx => format!("/{name}"),
        }
    }

    /// An upload of a file, the `number`th.
    pub fn upload(&self, bytes: &[u8], number: usize) -> Request {
        let mut body = Vec::with_capacity(bytes.len() + 256);
        let (line, kind) = match self.peer {
            Peer::Glimt { .. } => {
                body.extend(
                    format!(
                        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"images[]\"; filename=\"a.jpg\"\r\n\r\n"
                    )
                    .bytes(),
                );
                ("POST /image".to_owned(), format!("multipart/form-data; boundary={BOUNDARY}"))
            }
            Peer::Nginx => (format!("PUT /upload/{number}.jpg"), "image/jpeg".to_owned()),
            Peer::Thumbor => ("POST /image".to_owned(), "image/jpeg".to_owned()),
            Peer::Sharp | Peer::Ipx | Peer::Oximg => ("POST /upload".to_owned(), "image/jpeg".to_owned()),
        };
        body.extend_from_slice(bytes);
        if self.peer.is_glimt() {
            body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        }
        let head =
            format!("{line} HTTP/1.1\r\nhost: bench\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        Request { head: head.into_bytes(), body }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.group.0).ok().and_then(rustix::process::Pid::from_raw) {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _reaped = self.child.wait();
        // Its folder is removed next, and nobody may write there any more.
        let began = Instant::now();
        while self.group.count() > 0 && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn node(place: &Place, script: &str) -> Command {
    let mut command = Command::new("node");
    // Beside its modules, where they are looked for.
    command.arg(place.node_modules().join(script)).env("NODE_ENV", "production");
    // As sharp's documentation advises with glibc: a sixth less memory, and the same time.
    let lib =
        fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join("libjemalloc.so.2"));
    if let Some(jemalloc) = lib.into_iter().find(|path| path.is_file()) {
        command.env("LD_PRELOAD", jemalloc);
    }
    command
}

fn nginx_conf(place: &Place, folder: &Path, uploads: &Path, port: u16) -> Result<PathBuf> {
    let root = folder.join("root");
    fs::create_dir(&root)?;
    let is_root = rustix::process::geteuid().is_root();
    let text = fs::read_to_string(place.servers.join("nginx.conf"))?
        .replace("{FOLDER}", &folder.display().to_string())
        .replace("{ROOT}", &root.display().to_string())
        .replace("{UPLOADS}", &uploads.display().to_string())
        .replace("{PORT}", &port.to_string())
        .replace("{USER}", if is_root { "user root;" } else { "" });
    let path = folder.join("nginx.conf");
    fs::write(&path, text)?;
    Ok(path)
}
