//! A real browser: headless Chromium with its own profile, driven over WebDriver. It resolves the public name of the
//! applications under test.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, ChromiumLikeCapabilities};

use super::TestApp;
use super::app::APP_URL;
use super::wait::until;

/// Call [`Chrome::close`] at the end of the test.
pub struct Chrome {
    pub driver: WebDriver,
    server: String,
    chromedriver: Child,
}

/// Window and media settings of the browser.
#[derive(Clone, Copy)]
pub struct Look {
    pub javascript: bool,
    pub dark: bool,
    pub width: u32,
}

impl Look {
    pub const DESKTOP: Look = Look { javascript: true, dark: false, width: 1280 };
}

impl Chrome {
    pub async fn open(app: &TestApp, look: Look) -> Chrome {
        let port = free_port();
        let chromedriver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: run scripts/setup");
        let server = format!("http://127.0.0.1:{port}");
        let status = format!("{server}/status");
        until("chromedriver answers", async || reqwest::get(&status).await.is_ok()).await;
        let driver = WebDriver::new(&server, capabilities(app.address, look)).await.unwrap();
        // Chrome's windows are at least 500 px wide, so the page size is emulated.
        let metrics = json!({"width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        let mut chrome = Chrome { driver, server, chromedriver };
        chrome.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let theme = if look.dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        chrome.devtools("Emulation.setEmulatedMedia", media).await;
        chrome
    }

    pub async fn get(&self, path: &str) {
        self.driver.goto(format!("{APP_URL}{path}")).await.unwrap();
    }

    /// Path of the open page.
    pub async fn path(&self) -> String {
        self.driver.current_url().await.unwrap().path().to_owned()
    }

    pub async fn find(&self, css: &str) -> WebElement {
        self.driver.query(By::Css(css.to_owned())).first().await.unwrap()
    }

    /// The button with this text.
    pub async fn button(&self, text: &str) -> WebElement {
        self.driver.query(By::Css("button")).with_text(text.to_owned()).first().await.unwrap()
    }

    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    pub async fn fill(&self, name: &str, value: &str) {
        let field = self.find(&format!("[name='{name}']")).await;
        field.send_keys(value).await.unwrap();
    }

    pub async fn log_in(&self, email: &str, password: &str) {
        self.get("/login").await;
        self.fill("session[email]", email).await;
        self.fill("session[password]", password).await;
        self.button("Log in").await.click().await.unwrap();
        self.eventually("return location.pathname.startsWith('/users/')").await;
    }

    /// Runs a script in the page and returns its result.
    pub async fn ask(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Waits until a script in the page returns true.
    pub async fn eventually(&self, script: &str) {
        until(script, async || self.ask(script).await == json!(true)).await;
    }

    /// The browser's console: errors and violations of the content security policy. Omits the notice that
    /// Cross-Origin-Opener-Policy has no effect over plain http.
    pub async fn console(&self) -> Vec<String> {
        let log = self.call("se/log", json!({"type": "browser"})).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        let messages = entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned());
        messages
            .filter(|message| !message.contains("Cross-Origin-Opener-Policy header has been ignored"))
            .collect()
    }

    async fn devtools(&mut self, command: &str, params: Value) {
        self.call("goog/cdp/execute", json!({"cmd": command, "params": params})).await;
    }

    async fn call(&self, command: &str, body: Value) -> Value {
        let session = self.driver.session_id();
        let url = format!("{}/session/{session}/{command}", self.server);
        let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{command}: {}", answer.text().await.unwrap());
        answer.json::<Value>().await.unwrap()["value"].clone()
    }

    pub async fn close(self) {
        self.driver.clone().quit().await.unwrap();
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        // Killing the driver ends its browser too.
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
    }
}

fn capabilities(app: SocketAddr, look: Look) -> ChromeCapabilities {
    let mut chrome = DesiredCapabilities::chrome();
    let host = APP_URL.strip_prefix("http://").unwrap();
    for arg in [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        &format!("--host-resolver-rules=MAP {host} {app}"),
    ] {
        chrome.add_arg(arg).unwrap();
    }
    if !look.javascript {
        let off = json!({"profile.managed_default_content_settings.javascript": 2});
        chrome.add_experimental_option("prefs", off).unwrap();
    }
    chrome.set("goog:loggingPrefs", json!({"browser": "ALL"})).unwrap();
    chrome
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
