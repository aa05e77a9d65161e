//! A browser of a story's own: started by its driver, watched for what the page must not do, and closed whatever happens.

use std::{
    io::{BufRead as _, BufReader},
    mem::ManuallyDrop,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel, TypingData, WebDriver, WebElement,
};

use crate::binary::Running;

/// The API key of the server.
pub(crate) const KEY: &str = "an api key";

/// How long something on the page may take: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Noted from the first moment of every document.
const WATCH: &str = r"
    window.seen = [];
    addEventListener('securitypolicyviolation', (event) => seen.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    addEventListener('error', (event) => { if (event.message) seen.push(`error: ${event.message}`); });
    addEventListener('unhandledrejection', (event) => seen.push(`rejection: ${event.reason}`));
";

/// The first of these programs that there is.
fn program(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

/// The driver's process. Killed when dropped, and the browser with it if it is there still: a story that fails ends no session.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // Each thread has its children.
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.0.id())).into_iter().flatten().flatten() {
            let browsers = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for browser in browsers.split_whitespace() {
                let _ended = Command::new("kill").arg(browser).status();
            }
        }
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The page in a browser, and the server behind it.
pub(crate) struct Page {
    _driver: Driver,
    /// Not dropped: when a story fails that would wait long for the session to end, which its driver's end does at once.
    browser: ManuallyDrop<WebDriver>,
    pub(crate) server: Running,
    data: TempDir,
    /// Files to be chosen.
    files: TempDir,
    /// What the browser's own log may say: it has a line for each answer that is an error.
    expected: Vec<String>,
}

impl Page {
    /// A server with nothing in it, and the browser at this part of its page. `None` where there is no browser.
    pub(crate) async fn open(view: &str) -> Option<Self> {
        let found = program(&["chromium", "chromium-browser", "google-chrome"]).zip(program(&["chromedriver"]));
        let Some((chromium, driver)) = found else {
            assert_ne!(std::env::var("REQUIRE_BROWSER").as_deref(), Ok("1"), "no browser, and REQUIRE_BROWSER=1");
            println!("skipped: no browser");
            return None;
        };
        let data = TempDir::new().unwrap();
        let server = Running::on(data.path(), |command| {
            command.args(["--api-key", KEY]);
        })
        .await;
        let mut driver =
            Driver(Command::new(driver).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        // ChromeDriver was started successfully on port 40123.
        let mut said = BufReader::new(driver.0.stdout.take().unwrap()).lines();
        let port = said.find_map(|line| {
            Some(line.ok()?.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().unwrap())
        });
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(chromium.to_str().unwrap()).unwrap();
        for argument in
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"]
        {
            wanted.add_arg(argument).unwrap();
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        let browser =
            ManuallyDrop::new(WebDriver::new(format!("http://127.0.0.1:{}", port.unwrap()), wanted).await.unwrap());
        let page =
            Self { browser, _driver: driver, server, data, files: TempDir::new().unwrap(), expected: Vec::new() };
        page.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH })).await;
        page.size(1280, 900).await;
        page.browser.goto(page.address(view)).await.unwrap();
        page.until("document.querySelector('main .view:not([hidden])')").await;
        Some(page)
    }

    /// The address of a part of the page, or of anything else on the server.
    pub(crate) fn address(&self, rest: &str) -> String {
        format!("http://127.0.0.1:{}/{rest}", self.server.port)
    }

    /// Goes to another part of the page, as its links do.
    pub(crate) async fn go(&self, view: &str) {
        self.js(&format!("location.hash = '{view}'")).await;
        let name = view.trim_start_matches('#').split('/').next().unwrap();
        self.until(&format!("!document.getElementById('view-{name}').hidden")).await;
    }

    /// What an expression comes to.
    pub(crate) async fn js(&self, expression: &str) -> Value {
        self.js_with(expression, Value::Null).await
    }

    /// The same, with `given`.
    pub(crate) async fn js_with(&self, expression: &str, given: Value) -> Value {
        let script = format!("const given = arguments[0]; return ({expression});");
        let answer = self.browser.execute(script, vec![given]).await;
        answer.unwrap_or_else(|error| panic!("{expression}: {error}")).json().clone()
    }

    /// Waits until an expression is true, and gives what it comes to.
    pub(crate) async fn until(&self, expression: &str) -> Value {
        let began = Instant::now();
        // A part of the page may not be there yet.
        let guarded = format!("(() => {{ try {{ return {expression}; }} catch {{ return null; }} }})()");
        loop {
            let value = self.js(&guarded).await;
            if !matches!(value, Value::Null | Value::Bool(false)) && value != json!("") && value != json!(0) {
                return value;
            }
            if began.elapsed() > PATIENCE {
                self.picture("failed").await;
                let text = self.js("document.body.innerText").await;
                panic!("waited for {expression}, which is {value}; the page says {text}");
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until what is shown in an element has this in it.
    pub(crate) async fn says(&self, selector: &str, text: &str) -> String {
        let quoted = Value::from(text);
        let shown = format!("document.querySelector('{selector}')");
        let is_there =
            format!("{shown}.checkVisibility() && {shown}.textContent.includes({quoted}) && {shown}.textContent");
        self.until(&is_there).await.as_str().unwrap().to_owned()
    }

    /// The element, which is there.
    pub(crate) async fn find(&self, selector: &str) -> WebElement {
        let found = self.browser.find(By::Css(selector.to_owned())).await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses keys in an element.
    pub(crate) async fn keys(&self, selector: &str, keys: impl Into<TypingData>) {
        self.find(selector).await.send_keys(keys).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Writes into a field in place of what is there.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// A file on this machine, to be chosen in a form.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command of the browser's developer tools.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.browser.cdp().send_raw(command, parameters).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub(crate) async fn size(&self, width: u32, height: u32) {
        let parameters = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", parameters).await;
    }

    /// Light or dark, as the system would have it.
    pub(crate) async fn scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Takes a picture of what is seen, into `target/tmp/screenshots`.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        self.browser.screenshot(&folder.join(format!("{name}.png"))).await.unwrap();
    }

    /// The browser's log will have a line with this in it.
    pub(crate) fn expect(&mut self, line: &str) {
        self.expected.push(line.to_owned());
    }

    /// Closes everything. The page must have broken no rule of its policy, and said nothing on the console but what is expected.
    pub(crate) async fn close(self) {
        assert_eq!(self.js("window.seen").await, json!([]), "the page did what it must not");
        for line in self.browser.browser_log().await.unwrap() {
            let is_expected = self.expected.iter().any(|expected| line.message.contains(expected));
            assert!(is_expected, "the console: {line:?}");
        }
        let Self { browser, _driver, server, data, files, expected: _ } = self;
        ManuallyDrop::into_inner(browser).quit().await.unwrap();
        let log = server.stop().await;
        assert!(!log.contains("panicked"), "{log}");
        data.close().unwrap();
        files.close().unwrap();
    }
}

impl Deref for Page {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        &self.browser
    }
}
