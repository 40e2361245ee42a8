//! The real Prometheus, as the distribution has it, and its `promtool`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::files;
use crate::harness::{Process, Stream, http, scratch};

/// A Prometheus that looks at one broker, once a second, and at a port where there is none.
pub(crate) struct Prometheus {
    port: u16,
    _process: Process,
    _directory: TempDir,
}

impl Prometheus {
    pub(crate) fn start(broker: u16, nobody: u16) -> Self {
        let directory = scratch();
        let rules = files::path("grafana/rules");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{rules}/recording.yml', '{rules}/alerts.yml']\n\
             scrape_configs:\n  - job_name: bastionmq\n    static_configs:\n      \
             - targets: ['127.0.0.1:{broker}', '127.0.0.1:{nobody}']\n",
            rules = rules.display()
        );
        // Rules are evaluated as often as they would be shown.
        let at_once = |name: &str| {
            let text = files::text(&format!("grafana/rules/{name}"));
            let path = directory.path().join(name);
            fs::write(&path, text.replace("interval: 15s", "interval: 1s")).expect("rules");
            path
        };
        let config = ["recording.yml", "alerts.yml"].iter().fold(config, |config, name| {
            let shipped = rules.join(name);
            config.replace(&shipped.display().to_string(), &at_once(name).display().to_string())
        });
        fs::write(directory.path().join("prometheus.yml"), config).expect("a configuration");
        let mut command = Command::new(program("prometheus"));
        command.current_dir(directory.path()).args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ]);
        let process = Process::spawn("prometheus", &mut command);
        let port = process.wait_for(Stream::Err, |line| {
            let address = line.split_once("\"Listening on\" address=127.0.0.1:")?.1;
            address.split(' ').next()?.parse().ok()
        });
        process.wait_for_text(Stream::Err, "Server is ready");
        Self { port, _process: process, _directory: directory }
    }

    /// What it answers to a question of its API.
    pub(crate) fn ask(&self, path: &str) -> Value {
        ask(self.port, path)
    }

    /// The values that an expression has now; those that are not numbers are left out.
    pub(crate) fn evaluate(&self, expression: &str) -> Vec<f64> {
        let data = self.ask(&format!("/api/v1/query?query={}", encoded(expression)));
        let samples = data["result"].as_array().expect("a vector");
        let values = samples.iter().map(|sample| sample["value"][1].as_str().expect("a value"));
        values
            .filter_map(|value| value.parse().ok())
            .filter(|value: &f64| !value.is_nan())
            .collect()
    }
}

/// What a Prometheus at `port` answers to a question of its API.
pub(crate) fn ask(port: u16, path: &str) -> Value {
    let (status, body) = http::get(port, path);
    // The answer may come in pieces, each behind its length.
    let json = body.find('{').zip(body.rfind('}')).map(|(from, to)| &body[from..=to]);
    let json = json.unwrap_or_else(|| panic!("{path}: {status} {body}"));
    let answer = serde_json::from_str(&without_lengths(json));
    let answer: Value = answer.unwrap_or_else(|error| panic!("{path}: {error}: {json}"));
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    answer["data"].clone()
}

/// A program of the package `prometheus`.
pub(crate) fn program(name: &str) -> PathBuf {
    let directory = std::env::var("TEST_PROMETHEUS").expect("tests/run sets TEST_PROMETHEUS");
    Path::new(&directory).join(name)
}

/// What `promtool` says to this, which is that all is well.
pub(crate) fn promtool(arguments: &[&str]) {
    let output = Command::new(program("promtool"))
        .args(arguments)
        .current_dir(files::path("grafana"))
        .output()
        .expect("promtool runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// For the query of a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// JSON that came in pieces (RFC 9112 section 7.1), without the lines that tell their lengths: what
/// Prometheus answers has no other lines.
fn without_lengths(json: &str) -> String {
    let mut lines = json.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.skip(1).step_by(2).fold(first, |text, line| text + line)
}
