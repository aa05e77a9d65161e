//! nginx as docs/deployment.md has it, in front of a server.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::stage::{SITE, Stage};
use crate::output;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// nginx, running. Killed when dropped.
pub(super) struct Front(Child);

/// Whether there is one here.
pub(super) fn is_installed() -> bool {
    Command::new("nginx").arg("-v").output().is_ok_and(|asked| asked.status.success())
}

/// The whole configuration around the page's: what Debian's has around a file in `conf.d`, for one user in one folder.
fn around(stage: &Stage, page: &str) -> String {
    let folder = stage.folder().display();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/temp-{kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\n\
         events {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{folders}\n{page}\n}}\n"
    )
}

impl Front {
    /// Lets nginx read the configuration of a page, and starts it.
    ///
    /// # Errors
    /// What nginx says against it.
    pub(super) fn start(stage: &Stage, page: &str) -> Result<Self, String> {
        let placed = stage.placed(page).replace("listen 443", &format!("listen 127.0.0.1:{}", stage.front));
        let placed = placed.replace(&format!("server_name {SITE}"), "server_name localhost");
        fs::create_dir_all(stage.folder().join("cache")).map_err(|error| error.to_string())?;
        let path = stage.put("nginx.conf", &around(stage, &placed));
        let nginx = || {
            let mut nginx = Command::new("nginx");
            nginx.arg("-c").arg(&path).arg("-p").arg(stage.folder()).arg("-e").arg(stage.folder().join("nginx.log"));
            nginx
        };
        let read = output(nginx().arg("-t"));
        if !read.status.success() {
            return Err(format!("nginx -t: {}", String::from_utf8_lossy(&read.stderr)));
        }
        let child = nginx().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut front = Self(child.map_err(|error| error.to_string())?);
        let begun = Instant::now();
        let url = format!("https://localhost:{}/healthz", stage.front);
        while !stage.asked("curl", &["-sf", &url], &[]).status.success() {
            let ended = front.0.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(stage.folder().join("nginx.log")).unwrap_or_default();
                return Err(format!("nginx does not answer ({ended:?}): {log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(front)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What the page promises of it besides what its commands show: a form of the largest size, what strangers may not reach, deletes, and that
/// each `Accept` is kept apart.
pub(super) fn keeps_its_promises(stage: &Stage, page: &str) -> Result<(), String> {
    let front = format!("https://localhost:{}", stage.front);
    let ask = |arguments: &[&str], path: &str| {
        let url = format!("{front}{path}");
        let head = ["-s", "-o", "front.bin", "-D", "-"];
        let asked = stage.asked("curl", &[&head[..], arguments, &[&url]].concat(), &[]);
        String::from_utf8_lossy(&asked.stdout).into_owned()
    };
    let expect = |what: &str, head: &str, begins: &str, has: &str| {
        let fine = head.starts_with(begins) && (has.is_empty() || head.lines().any(|line| line.trim_end() == has));
        if fine { Ok(()) } else { Err(format!("{what}: not {begins} with {has:?}, but {head}")) }
    };
    for path in ["/internal/aliases?alias=a.jpg", "//internal/variants", "/%69nternal/overview", "/metrics"] {
        expect(path, &ask(&["-H", "X-Api-Token: a long random text"], path), "HTTP/2 404", "")?;
        let body = fs::read_to_string(stage.folder().join("front.bin")).unwrap_or_default();
        if !body.contains("nginx") {
            return Err(format!("{path} gets to the server, which says {body}"));
        }
    }

    // Larger than a megabyte, which is nginx's own limit.
    let noise: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    fs::write(stage.folder().join("noise.bin"), &noise).map_err(|error| error.to_string())?;
    expect("a large file", &ask(&["-F", "images[]=@noise.bin"], "/image"), "HTTP/2 400", "")?;
    let body = fs::read_to_string(stage.folder().join("front.bin")).unwrap_or_default();
    if !body.contains("not-an-image") {
        return Err(format!("a large file does not get to the server: {body}"));
    }

    let asked = stage.asked("curl", &["-sF", "images[]=@picture.png", &format!("{front}/image")], &[]);
    let answer: serde_json::Value = serde_json::from_slice(&asked.stdout).map_err(|error| error.to_string())?;
    let (file, token) = (&answer["files"][0]["file"], &answer["files"][0]["delete_token"]);
    let (file, token) = (file.as_str().unwrap_or_default(), token.as_str().unwrap_or_default());
    let auto = format!("/image/process.auto?src={file}&thumbnail=64");
    let webp = ["-H", "Accept: image/webp"];
    expect("auto", &ask(&webp, &auto), "HTTP/2 200", "x-cache: MISS")?;
    expect("auto again", &ask(&webp, &auto), "HTTP/2 200", "x-cache: HIT")?;
    expect("auto as webp", &ask(&webp, &auto), "HTTP/2 200", "content-type: image/webp")?;
    expect("auto for others", &ask(&["-H", "Accept: image/png"], &auto), "HTTP/2 200", "x-cache: MISS")?;
    let others = ask(&["-H", "Accept: image/png"], &auto);
    if others.contains("image/webp") {
        return Err(format!("who takes no WebP gets one: {others}"));
    }
    let original = format!("/image/original/{file}");
    expect("an original", &ask(&[], &original), "HTTP/2 200", "x-cache: MISS")?;
    expect("a range", &ask(&["-r", "0-9"], &original), "HTTP/2 206", "content-length: 10")?;
    if ask(&[], &format!("/image/details/original/{file}")).contains("x-cache") {
        return Err("details are kept".to_owned());
    }
    expect("a delete", &ask(&["-X", "DELETE"], &format!("/image/delete/{token}/{file}")), "HTTP/2 204", "")?;
    expect("after the delete", &ask(&[], &format!("{original}?")), "HTTP/2 404", "")?;
    if !page.contains("within a day") {
        return Err("the page does not say how long a deleted picture is kept".to_owned());
    }
    Ok(())
}
