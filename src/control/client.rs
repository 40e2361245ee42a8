//! The operator's side, for the command line: it waits, and asks one thing after the other.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Answer, Answered, MAX_ANSWER_BYTES, Request, VERSION, write_request};

/// Longer than the broker takes for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// An operator's connection to a broker.
#[derive(Debug)]
pub struct Conversation {
    stream: BufReader<UnixStream>,
}

/// Why the broker has not done what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody is there, or nobody to be spoken to.
    #[error("cannot speak to the broker at {}: {}", path.display(), advice(.source))]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection has broken.
    #[error("the broker has not answered: {0}")]
    Broken(#[from] io::Error),
    /// What it says makes no sense here.
    #[error("the answer of the broker cannot be read: {0}")]
    Unintelligible(String),
    /// It says why not.
    #[error("the broker says: {0}")]
    Refused(String),
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such socket; is it running, and is this the `socket` of [control] in its \
             configuration? Another one is named by --socket or BASTIONMQ_CONTROL_SOCKET"
                .to_owned()
        }
        io::ErrorKind::ConnectionRefused => "it is not running".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "only the user that it runs as, root and the `group` of [control] may do that"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

impl Conversation {
    /// Connects to the socket `path`.
    ///
    /// # Errors
    /// When nobody serves it, or it is not for this user.
    pub fn open(path: &Path) -> Result<Self, ControlError> {
        let open = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        open()
            .map(|stream| Self { stream: BufReader::new(stream) })
            .map_err(|source| ControlError::Connect { path: path.to_owned(), source })
    }

    /// Asks, and gives the first line of the answer.
    ///
    /// # Errors
    /// When the broker does not answer, or says why it does not do that.
    pub fn ask(&mut self, request: Request) -> Result<Answer, ControlError> {
        let line = write_request(request).map_err(io::Error::other)?;
        match self.stream.get_mut().write_all(&line) {
            // Whoever is not let in is told why and left: what was told can still be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        self.hear()
    }

    /// Asks for a list, and gives `each` of its entries on; says how many were shown, and how many
    /// there are.
    ///
    /// # Errors
    /// As [`Self::ask`], and those of `each`.
    pub fn list<E: From<ControlError>>(
        &mut self,
        request: Request,
        mut each: impl FnMut(Answer) -> Result<(), E>,
    ) -> Result<(u64, u64), E> {
        let mut answer = self.ask(request)?;
        loop {
            if let Answer::Listed { shown, of } = answer {
                return Ok((shown, of));
            }
            each(answer)?;
            answer = self.hear()?;
        }
    }

    /// The next line of the answer.
    fn hear(&mut self) -> Result<Answer, ControlError> {
        let mut line = Vec::new();
        let most = MAX_ANSWER_BYTES as u64;
        self.stream.by_ref().take(most).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            let kind = io::ErrorKind::UnexpectedEof;
            return Err(io::Error::new(kind, "it has ended the connection").into());
        }
        let answered: Answered = serde_json::from_slice(&line)
            .map_err(|error| ControlError::Unintelligible(error.to_string()))?;
        match answered.answer {
            Answer::Error(told) => Err(ControlError::Refused(told)),
            _ if answered.version != VERSION => {
                let other = answered.version;
                let told = format!("it is of version {other} of the protocol, this of {VERSION}");
                Err(ControlError::Unintelligible(told))
            }
            answer => Ok(answer),
        }
    }
}
