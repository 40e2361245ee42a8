//! Chromium without a window: started alone, or driven over its DevTools protocol.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use super::broker::scratch;
use super::{Login, PATIENCE, Process, Stream};

/// Without a past or a network but for this machine.
pub(crate) fn command(home: &TempDir) -> Command {
    let mut command = Command::new("chromium");
    command.env("HOME", home.path()).stdin(Stdio::null());
    command.arg(format!("--user-data-dir={}", home.path().join("profile").display()));
    command.args(["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update"]);
    command.args(["--disable-sync", "--disable-extensions", "--no-proxy-server"]);
    command.arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1");
    if rustix::process::geteuid().is_root() {
        // It refuses to run as root with one.
        command.arg("--no-sandbox");
    }
    command
}

/// A page in a browser of its own.
pub(crate) struct Tab {
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    next_id: u64,
    login: Option<Login>,
    /// Errors of the page, as its console would show them.
    complaints: Vec<String>,
    events: VecDeque<Value>,
    _browser: Process,
    _home: TempDir,
}

impl Tab {
    /// An empty one, `width` pixels wide, that answers with `login` whoever asks for a name and a password.
    pub(crate) fn open((width, height): (u32, u32), login: Option<Login>) -> Self {
        let home = scratch();
        let browser = Process::spawn("chromium", command(&home).arg("--remote-debugging-port=0"));
        let url = browser.wait_for(Stream::Err, |line| {
            line.strip_prefix("DevTools listening on ").map(str::to_owned)
        });
        let address = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
        let stream = TcpStream::connect(address.expect("an address")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let (socket, _) = tungstenite::client(&*url, stream).expect("a WebSocket");
        let mut tab = Self {
            socket,
            session: None,
            next_id: 0,
            login,
            complaints: Vec::new(),
            events: VecDeque::new(),
            _browser: browser,
            _home: home,
        };
        let target = tab.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = tab.call("Target.attachToTarget", attach);
        tab.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab.call("Fetch.enable", json!({ "handleAuthRequests": true }));
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        tab.call("Emulation.setDeviceMetricsOverride", size);
        tab
    }

    /// Goes to `url`, and on from there once it has loaded.
    pub(crate) fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.wait_until("document.readyState === 'complete'");
    }

    /// What an expression of JavaScript comes to.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", ask);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression of JavaScript is true.
    pub(crate) fn wait_until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate(&format!("Boolean({expression})")) != true {
            if Instant::now() > deadline {
                let text = self.evaluate("document.body.innerText");
                panic!("waited in vain until {expression}\n{:?}\n{text}", self.complaints);
            }
            std::thread::yield_now();
        }
    }

    /// What the page has complained about.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Calls a method of the protocol, and gives its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        loop {
            let mut message = self.read();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.hear(&message);
            while let Some(event) = self.events.pop_front() {
                self.answer(&event);
            }
        }
    }

    fn send(&mut self, method: &str, params: Value) -> u64 {
        self.next_id += 1;
        let mut message = json!({ "id": self.next_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.socket.send(Message::text(message.to_string())).expect("it reads");
        self.next_id
    }

    fn read(&mut self) -> Value {
        loop {
            let message = self.socket.read().expect("the browser goes on");
            if let Message::Text(text) = message {
                return serde_json::from_str(text.as_str()).expect("JSON");
            }
        }
    }

    fn hear(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Log.entryAdded" if params["entry"]["level"] == "error" => {
                self.complaints.push(params["entry"].to_string());
            }
            "Runtime.exceptionThrown" => self.complaints.push(params.to_string()),
            "Runtime.consoleAPICalled" if params["type"] == "error" => {
                self.complaints.push(params.to_string());
            }
            "Fetch.requestPaused" | "Fetch.authRequired" => self.events.push_back(event.clone()),
            _ => {}
        }
    }

    fn answer(&mut self, event: &Value) {
        let request = &event["params"]["requestId"];
        if event["method"] == "Fetch.requestPaused" {
            self.send("Fetch.continueRequest", json!({ "requestId": request }));
            return;
        }
        let response = match self.login {
            Some((user, password)) => json!({
                "response": "ProvideCredentials", "username": user, "password": password
            }),
            None => json!({ "response": "CancelAuth" }),
        };
        let answer = json!({ "requestId": request, "authChallengeResponse": response });
        self.send("Fetch.continueWithAuth", answer);
    }
}
