//! An HTTP service that knows one password, whoever sends it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::{io, thread};

use crate::http_client::Access;
use crate::identity_service::{IdentityService, Settings};
use crate::telemetry::Metrics;

const ALLOW: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\n\
    {\"result\":\"allow\"}";
const DENY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n\
    {\"result\":\"deny\"}";

/// Asks the service, which is one for all.
pub(super) fn that_knows(password: &'static str) -> IdentityService {
    static PORT: OnceLock<u16> = OnceLock::new();
    let port = PORT.get_or_init(|| serve(password));
    let url = format!("http://127.0.0.1:{port}/").parse().expect("a URL");
    let access = Access { url, tls: None, token: None };
    IdentityService::new(access, &Settings::default(), Arc::new(Metrics::new())).expect("a key")
}

/// Serves to the end of the process, and says at which port.
fn serve(password: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // One that has hung up needs no answer.
            let _ = answer(stream, password);
        }
    });
    port
}

fn answer(mut stream: TcpStream, password: &str) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut question = String::new();
    reader.take(length).read_to_string(&mut question)?;
    let is_known = question.contains(&format!("\"password\":\"{password}\""));
    stream.write_all(if is_known { ALLOW } else { DENY })
}
