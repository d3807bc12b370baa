//! A headless Chromium, by the `WebDriver` protocol (W3C `WebDriver`, §6) of chromedriver.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// A running browser with one window. Dropped, it is ended.
pub(crate) struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver has to be installed");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map(Result::unwrap);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        thread::spawn(move || lines.for_each(drop));
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{}/session", port.unwrap()) };
        // As root, as CI is, Chromium has no sandbox of its own; it loads this test's page alone.
        let options = json!({"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]});
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let started = browser.post("", &json!({"capabilities": {"alwaysMatch": capabilities}})).await;
        browser.session = format!("{}/{}", browser.session, started["sessionId"].as_str().unwrap());
        browser
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.ask(Method::POST, path, body.to_string()).await
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> Value {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::builder().method(method).uri(format!("{}{path}", self.session));
        let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body))).unwrap();
        let response = client.request(request).await.unwrap();
        let is_done = response.status().is_success();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(is_done, "{path}: {answer}");
        answer["value"].clone()
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url})).await;
    }

    /// Returns what a script returns. It runs in the page, past its policy.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Presses a key by its code (W3C `WebDriver` §17.4.2).
    pub(crate) async fn press(&self, key: char) {
        let strokes = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        self.post("/actions", &actions).await;
    }

    /// Resizes the window, and has the page think that its reader prefers `scheme`: `light` or `dark`.
    pub(crate) async fn prefer(&self, scheme: &str, [width, height]: [u32; 2]) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features})).await;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await;
    }

    async fn devtools(&self, command: &str, parameters: &Value) {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await;
    }

    /// Returns the window as PNG, in base64.
    pub(crate) async fn screenshot(&self) -> String {
        self.ask(Method::GET, "/screenshot", String::new()).await.as_str().unwrap().to_owned()
    }

    /// Returns what the browser complains of: errors of scripts, and what the policy forbade.
    pub(crate) async fn complaints(&self) -> Vec<Value> {
        let entries = self.post("/se/log", &json!({"type": "browser"})).await;
        entries.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE").cloned().collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // chromedriver ends its browsers at SIGTERM; it may have ended already.
        let pid = rustix::process::Pid::from_child(&self.driver);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.driver.wait();
    }
}
