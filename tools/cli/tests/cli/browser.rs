//! Headless Chromium, spoken to as its developer tools do: over two pipes, a JSON message at a time.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than any answer takes on a slow machine.
const LONG: Duration = Duration::from_secs(120);

/// A browser with one page, ended with its test.
pub(crate) struct Browser {
    process: Child,
    requests: ChildStdin,
    messages: Receiver<Value>,
    events: VecDeque<Value>,
    session: String,
    last_id: u64,
    _profile: TempDir,
}

impl Browser {
    /// The browser of this machine; nothing where it has none.
    pub(crate) fn of_this_machine() -> Option<Self> {
        let is_there =
            |name: &&str| std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|directory| directory.join(name).exists());
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(is_there)?;
        let profile = tempfile::tempdir().unwrap();
        // It reads its requests from descriptor 3 and answers on 4.
        let mut process = Command::new("/bin/sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (requests, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (send, messages) = mpsc::channel();
        thread::spawn(move || {
            let pieces = BufReader::new(answers).split(0);
            pieces.map_while(Result::ok).filter_map(|piece| serde_json::from_slice(&piece).ok()).try_for_each(|message| send.send(message))
        });
        let mut browser = Self { process, requests, messages, events: VecDeque::new(), session: String::new(), last_id: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        browser.session =
            browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}))["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Network", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Opens a file and waits until all of it is there. Forgets what was noted of the page before.
    pub(crate) fn open(&mut self, file: &Path) {
        self.events.clear();
        let url = format!("file://{}", file.display());
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{opened}");
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.message();
            self.events.push_back(message);
        }
    }

    /// The value of an expression on the page.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The texts of everything on the page that a selector takes.
    pub(crate) fn texts(&mut self, selector: &str) -> Vec<String> {
        let texts = self.value(&format!("[...document.querySelectorAll({})].map(found => found.textContent)", json!(selector)));
        serde_json::from_value(texts).unwrap()
    }

    /// Makes the window so wide, as that of a phone where it is narrow.
    pub(crate) fn set_width(&mut self, width: u32) {
        let metrics = json!({"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Wishes for `dark` or `light`.
    pub(crate) fn set_scheme(&mut self, scheme: &str) {
        self.call("Emulation.setEmulatedMedia", json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}));
    }

    /// The addresses that the page has asked for since it was opened.
    pub(crate) fn requested(&mut self) -> Vec<String> {
        let asked = self.noted("Network.requestWillBeSent");
        asked.iter().map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// What the browser had to say against the page since it was opened.
    pub(crate) fn complaints(&mut self) -> Vec<Value> {
        ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening"]
            .map(|method| self.noted(method))
            .concat()
    }

    fn noted(&mut self, method: &str) -> Vec<Value> {
        // An answer comes behind everything that happened before it was asked for.
        self.value("0");
        self.events.iter().filter(|event| event["method"] == method).cloned().collect()
    }

    #[track_caller]
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut request = json!({"id": self.last_id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.requests.write_all(format!("{request}\0").as_bytes()).unwrap();
        loop {
            let message = self.message();
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
    }

    #[track_caller]
    fn message(&self) -> Value {
        self.messages.recv_timeout(LONG).expect("the browser answers")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = json!({"id": u64::MAX >> 16, "method": "Browser.close"});
        self.requests.write_all(format!("{close}\0").as_bytes()).ok();
        let began = Instant::now();
        while self.process.try_wait().is_ok_and(|status| status.is_none()) {
            if began.elapsed() > Duration::from_secs(10) {
                self.process.kill().ok();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
