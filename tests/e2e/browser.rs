//! MQTT.js in headless Chromium, over ws and wss: on a page that may connect, and on one that may not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use base64ct::{Base64, Encoding};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::harness::{ADMIN, Broker, PATIENCE, Process, Site, Stream, clients, scratch};

/// Endpoints times versions.
const CELLS: usize = 2 * 3;

#[test]
fn mqtt_js_works_in_a_browser_over_ws_and_wss() {
    let listener = loopback();
    let origin = format!("http://localhost:{}", port(&listener));
    let broker = Broker::for_pages_of(&origin);
    let pages = Pages::serve(listener, &broker);
    let report = pages.report_of(&format!("{origin}/"));
    assert!(!report.contains("not ok"), "{report}");
    assert_eq!(
        report.lines().filter(|line| line.starts_with("ok ")).count(),
        CELLS * 4,
        "{report}"
    );
}

/// Another name of the same server is another origin.
#[test]
fn a_page_of_a_foreign_origin_is_turned_away_over_ws_and_wss() {
    let listener = loopback();
    let broker = Broker::for_pages_of(&format!("http://localhost:{}", port(&listener)));
    let foreign = format!("http://127.0.0.1:{}/#foreign", port(&listener));
    let pages = Pages::serve(listener, &broker);
    let report = pages.report_of(&foreign);
    assert!(!report.contains("not ok"), "{report}");
    assert_eq!(report.lines().filter(|line| line.starts_with("ok ")).count(), CELLS, "{report}");
    // It is the origin that they were turned away for.
    for scheme in ["ws", "wss"] {
        broker.process().wait_for(Stream::Err, |line| {
            let is_here = line.contains(&format!("{scheme}://")) && line.contains("page's origin");
            is_here.then_some(())
        });
    }
}

fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

// ── the server of the pages ────────────────────────────────────────────────────────────────────

const SCRIPT: &str = "text/javascript";

/// A path, its media type, and what is there.
type Page = (&'static str, &'static str, Vec<u8>);

/// Serves the page of the scenarios for as long as the process lives, and takes its report.
struct Pages {
    reports: Receiver<String>,
}

impl Pages {
    fn serve(listener: TcpListener, broker: &Broker) -> Self {
        let pages: Arc<[Page]> = Arc::new([
            ("/", "text/html", read(clients::script("browser.html"))),
            ("/browser_scenarios.mjs", SCRIPT, read(clients::script("browser_scenarios.mjs"))),
            ("/mqtt.min.js", SCRIPT, read(clients::node_module("mqtt/dist/mqtt.min.js"))),
            ("/site.json", "application/json", site(broker).into_bytes()),
        ]);
        let (sender, reports) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (pages, reports) = (Arc::clone(&pages), sender.clone());
                // A browser opens connections that it then does not use: none may hold up another.
                thread::spawn(move || answer(stream, &pages, &reports));
            }
        });
        Self { reports }
    }

    /// What the page at `url` reports.
    fn report_of(&self, url: &str) -> String {
        let home = scratch();
        let browser = Process::spawn("chromium", chromium(&home).arg(url));
        self.reports.recv_timeout(4 * PATIENCE).unwrap_or_else(|error| {
            panic!("no report of {url}: {error}\n{}", browser.transcript());
        })
    }
}

fn read(file: PathBuf) -> Vec<u8> {
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn site(broker: &Broker) -> String {
    let (user, password) = ADMIN;
    let (ws, wss) = (broker.ws_port(), broker.wss_port());
    format!(
        r#"{{"urls":["ws://localhost:{ws}/mqtt","wss://localhost:{wss}/mqtt"],"user":{user:?},"password":{password:?}}}"#
    )
}

/// Answers one request. Whatever is wrong with it, the browser will ask again or say so.
fn answer(stream: TcpStream, pages: &[Page], reports: &Sender<String>) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(&stream);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = header.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = request.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    if method == "POST" && path == "/report" {
        reports.send(String::from_utf8_lossy(&body).into_owned()).ok()?;
    }
    let page = pages.iter().find(|(at, ..)| *at == path);
    let (status, kind, content) = match page {
        Some((_, kind, content)) => ("200 OK", *kind, &content[..]),
        None => ("404 Not Found", "text/plain", &b""[..]),
    };
    let length = content.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    (&stream).write_all(&[head.as_bytes(), content].concat()).ok()
}

// ── the browser ────────────────────────────────────────────────────────────────────────────────

/// Chromium that takes our server's certificate for good.
fn chromium(home: &TempDir) -> Command {
    let mut command = crate::harness::chromium::command(home);
    command.arg(format!("--ignore-certificate-errors-spki-list={}", key_of_server()));
    command
}

/// The SHA-256 of the server's public key, in base64.
fn key_of_server() -> String {
    let file = Site::shared().file("server.crt");
    let certificate = CertificateDer::from_pem_file(file).expect("a certificate");
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).expect("well-formed");
    Base64::encode_string(&Sha256::digest(parsed.tbs_certificate.subject_pki.raw))
}
