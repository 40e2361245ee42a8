//! An HTTP service that knows who clients are, or fails to in every way there is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::PATIENCE;

/// A loopback port where questions are answered as a test has it.
pub(crate) struct IdentityService {
    port: u16,
    asked: Arc<Asked>,
}

/// A question as it came.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The lines before the body.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) json: Value,
}

/// What becomes of a question.
pub(crate) enum Reply {
    /// A 200 with this.
    Json(Value),
    /// These very bytes, and then the end.
    Bytes(Vec<u8>),
    /// These bytes, again and again, as long as somebody reads.
    Endless(&'static [u8]),
    /// A 200 with this, and the end, which is not announced.
    JsonAndEnd(Value),
    /// Nothing, until the broker has hung up.
    Silence,
}

#[derive(Default)]
struct Asked {
    questions: Mutex<Vec<Question>>,
    changed: Condvar,
}

type Judge = dyn Fn(&Value) -> Reply + Send + Sync;

impl IdentityService {
    pub(crate) fn start(judge: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, None, judge)
    }

    /// With TLS, where it is given one.
    pub(crate) fn start_at(
        address: Ipv4Addr,
        tls: Option<Arc<ServerConfig>>,
        judge: impl Fn(&Value) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::<Asked>::default();
        let (seen, judge): (_, Arc<Judge>) = (Arc::clone(&asked), Arc::new(judge));
        // Ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, judge, tls) = (Arc::clone(&seen), Arc::clone(&judge), tls.clone());
                thread::spawn(move || match tls {
                    Some(tls) => {
                        let session = ServerConnection::new(tls).expect("a TLS server");
                        serve(StreamOwned::new(session, stream), &seen, &*judge);
                    }
                    None => serve::<TcpStream>(stream, &seen, &*judge),
                });
            }
        });
        Self { port, asked }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/login", self.port)
    }

    /// Everything that it was asked so far.
    pub(crate) fn questions(&self) -> Vec<Question> {
        self.asked.lock().clone()
    }

    /// Waits until it has been asked so often.
    pub(crate) fn wait_for_questions(&self, count: usize) {
        let questions = self.asked.lock();
        let too_few = |questions: &mut Vec<Question>| questions.len() < count;
        let waited = self.asked.changed.wait_timeout_while(questions, PATIENCE, too_few);
        let (questions, _) = waited.expect("nobody has panicked");
        assert!(questions.len() >= count, "{} questions", questions.len());
    }
}

impl Asked {
    fn lock(&self) -> MutexGuard<'_, Vec<Question>> {
        self.questions.lock().expect("nobody has panicked")
    }

    fn add(&self, question: Question) {
        self.lock().push(question);
        self.changed.notify_all();
    }
}

/// Answers question after question, until one side hangs up.
fn serve<S: Read + Write>(stream: S, asked: &Asked, judge: &Judge) {
    let mut stream = BufReader::new(stream);
    while let Some(question) = read_question(&mut stream) {
        let json = question.json.clone();
        asked.add(question);
        let stream = stream.get_mut();
        let sent = match judge(&json) {
            Reply::Json(json) => stream.write_all(&ok(&json)),
            Reply::JsonAndEnd(json) => {
                // Whether it has arrived shows to who reads it.
                let _ = stream.write_all(&ok(&json)).and_then(|()| stream.flush());
                return;
            }
            Reply::Bytes(bytes) => {
                let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
                return;
            }
            Reply::Endless(bytes) => loop {
                if let Err(error) = stream.write_all(bytes) {
                    break Err(error);
                }
            },
            Reply::Silence => {
                let _ = stream.read(&mut [0]);
                return;
            }
        };
        if sent.and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn read_question(stream: &mut impl BufRead) -> Option<Question> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    });
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).ok()?;
    let json = serde_json::from_slice(&body).expect("a question is JSON");
    Some(Question { head, body, json })
}

fn ok(json: &Value) -> Vec<u8> {
    let json = json.to_string();
    let length = json.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}")
        .into_bytes()
}
