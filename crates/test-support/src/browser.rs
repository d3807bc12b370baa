//! A headless Chromium, by the `WebDriver` protocol (W3C `WebDriver`, §6) of chromedriver.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::TIMEOUT;

/// A running browser with one window. It is closed when this value is dropped.
pub struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    /// Starts chromedriver, and with it a browser.
    ///
    /// # Errors
    /// If chromedriver is not installed, or cannot start a browser.
    pub async fn start() -> anyhow::Result<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .context("chromedriver cannot be run: Debian's package is chromium-driver")?;
        let mut lines = BufReader::new(driver.stdout.take().context("it was piped")?).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        thread::spawn(move || lines.for_each(drop));
        let port = port.context("chromedriver ended before it named its port")?;
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}/session") };
        // Chromium has no sandbox as root, and CI runs as root. It loads this test's page alone.
        let options = json!({"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]});
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let started = browser.post("", &json!({"capabilities": {"alwaysMatch": capabilities}})).await?;
        let id = started["sessionId"].as_str().with_context(|| format!("no session: {started}"))?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    /// Ends the browser (W3C `WebDriver` §8.2), and waits for it.
    fn end_session(&self) -> anyhow::Result<()> {
        let url: Uri = self.session.parse()?;
        let address = url.authority().context("an address")?.as_str();
        let mut connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        write!(connection, "DELETE {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", url.path())?;
        io::copy(&mut connection, &mut io::sink())?;
        Ok(())
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, body.to_string()).await
    }

    async fn send(&self, method: Method, path: &str, body: String) -> anyhow::Result<Value> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::builder().method(method).uri(format!("{}{path}", self.session));
        let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body)))?;
        let response = client.request(request).await?;
        let is_done = response.status().is_success();
        let answer: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
        ensure!(is_done, "chromedriver refuses {path}: {answer}");
        Ok(answer["value"].clone())
    }

    /// Loads a page.
    ///
    /// # Errors
    /// If nothing answers at the address. This and all further methods also fail if chromedriver does not answer.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.post("/url", &json!({"url": url})).await.map(drop)
    }

    /// Returns what a script returns. It runs in the page; the page's Content-Security-Policy does not apply to it.
    ///
    /// # Errors
    /// If the script throws.
    pub async fn run(&self, script: &str) -> anyhow::Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Presses a key by its code (W3C `WebDriver` §17.4.2).
    ///
    /// # Errors
    /// If there is no such code.
    pub async fn press(&self, key: char) -> anyhow::Result<()> {
        let strokes = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        self.post("/actions", &actions).await.map(drop)
    }

    /// Resizes the window, and gives the page this `prefers-color-scheme`: `light` or `dark`.
    ///
    /// # Errors
    /// If the browser refuses the size.
    pub async fn prefer(&self, scheme: &str, [width, height]: [u32; 2]) -> anyhow::Result<()> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features})).await?;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await
    }

    async fn devtools(&self, command: &str, parameters: &Value) -> anyhow::Result<()> {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await.map(drop)
    }

    /// Saves the window as `NAME.png` in the folder that the variable `SCREENSHOTS` names; without it, does nothing.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub async fn screenshot(&self, name: &str) -> anyhow::Result<()> {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return Ok(()) };
        let picture = self.send(Method::GET, "/screenshot", String::new()).await?;
        let picture = STANDARD.decode(picture.as_str().context("no picture")?)?;
        Ok(std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture)?)
    }

    /// Returns the errors in the browser's log: of scripts, and what the Content-Security-Policy forbade.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn logged_errors(&self) -> anyhow::Result<Vec<Value>> {
        let entries = self.post("/se/log", &json!({"type": "browser"})).await?;
        let entries = entries.as_array().context("the log is no list")?;
        Ok(entries.iter().filter(|entry| entry["level"] == "SEVERE").cloned().collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that is killed leaves its browser running; the end of the session closes it. This fails only if both
        // have ended already.
        let _ = self.end_session();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
