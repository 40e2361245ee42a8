//! The socket: who may speak at it, how many at once, how much and for how long.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::desk::{Desk, Replies};
use super::files::Files;
use super::protocol::{Answer, MAX_REQUEST_BYTES, read_request};
use crate::unix::{self, Doorman, SocketFile, UnixSettings, UnixSocketError};

/// Operators that are served at once; more wait.
const MAX_CONVERSATIONS: usize = 8;
/// Operators that wait to be served.
const BACKLOG: i32 = 16;
/// How long an operator may take to ask, and to ask again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to rest when the system has no file descriptor left for another connection.
const REST: Duration = Duration::from_millis(100);

/// Where the socket is to be, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its absolute path.
    pub path: PathBuf,
    /// What its file has to heed, and who may connect.
    pub unix: UnixSettings,
}

/// A bound socket that nobody serves yet. The file goes first: as long as its socket is open, its
/// number in the file system is not given to another.
#[derive(Debug)]
pub struct ControlSocket {
    file: SocketFile,
    socket: UnixListener,
    doorman: Doorman,
}

/// What an operator has sent.
enum Line {
    Whole(Vec<u8>),
    TooLong,
    /// Nothing any more.
    End,
}

impl ControlSocket {
    /// Binds the socket. Whoever connects waits until it is served.
    ///
    /// # Errors
    /// When its directory is not fit for it, somebody serves it, or the system refuses.
    pub fn bind(endpoint: Endpoint) -> Result<Self, UnixSocketError> {
        let Endpoint { path, unix } = endpoint;
        let (socket, file) = unix::bind(&path, &unix, BACKLOG)?;
        let socket = UnixListener::from_std(socket).map_err(|source| UnixSocketError::System {
            action: "listen at",
            path,
            source,
        })?;
        Ok(Self { file, socket, doorman: Doorman::new(unix) })
    }

    /// Serves operators. Never returns; dropped, it removes the socket and leaves everybody.
    pub async fn serve<F: Files>(self, desk: Desk<F>) {
        let Self { file, socket, doorman } = self;
        let (desk, doorman) = (Arc::new(desk), Arc::new(doorman));
        let places = Arc::new(Semaphore::new(MAX_CONVERSATIONS));
        let mut conversations = JoinSet::new();
        loop {
            // Never an error: the semaphore is not closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            match socket.accept().await {
                Ok((stream, _)) => {
                    let (desk, doorman) = (Arc::clone(&desk), Arc::clone(&doorman));
                    conversations.spawn(receive(stream, doorman, desk, place));
                }
                Err(error) => {
                    tracing::debug!(%error, "an operator was not let in");
                    sleep(REST).await;
                }
            }
            while conversations.try_join_next().is_some() {}
        }
        drop(file);
    }
}

/// Lets an operator in, or tells it why not.
async fn receive<F: Files>(
    stream: UnixStream,
    doorman: Arc<Doorman>,
    desk: Arc<Desk<F>>,
    _place: OwnedSemaphorePermit,
) {
    // Names of users and groups can be long in coming.
    let Ok(admitted) = timeout(PATIENCE, doorman.admit(&stream)).await else {
        tracing::warn!("the system does not say in time who is at the control socket");
        return;
    };
    let (reader, writer) = stream.into_split();
    let mut replies = Replies(writer);
    match admitted {
        Ok(operator) => {
            let mut reader = BufReader::new(reader);
            while let Ok(Ok(line)) = timeout(PATIENCE, next_line(&mut reader)).await {
                let said = match line {
                    Line::End => break,
                    Line::TooLong => {
                        let text = format!("a request has at most {MAX_REQUEST_BYTES} bytes");
                        // Where the next one begins is not known.
                        let _ = replies.say(Answer::Error(text)).await;
                        break;
                    }
                    Line::Whole(line) => match read_request(&line) {
                        Ok(request) => desk.serve(request, &operator, &mut replies).await,
                        Err(told) => replies.say(Answer::Error(told)).await,
                    },
                };
                if said.is_err() {
                    break;
                }
            }
        }
        Err(why) => {
            tracing::warn!("refused at the control socket: {why}");
            let _ = replies.say(Answer::Error(why.to_string())).await;
        }
    }
}

async fn next_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Line> {
    let mut line = Vec::new();
    let most = MAX_REQUEST_BYTES as u64 + 1;
    reader.take(most).read_until(b'\n', &mut line).await?;
    Ok(match line.last() {
        None => Line::End,
        Some(b'\n') => Line::Whole(line),
        Some(_) if line.len() > MAX_REQUEST_BYTES => Line::TooLong,
        // Whoever has gone in the middle of a request has not made it.
        Some(_) => Line::End,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_a_line_and_has_a_bound() {
        let text =
            [b"one\n\n".to_vec(), vec![b'x'; MAX_REQUEST_BYTES + 1], b"\n".to_vec()].concat();
        let mut reader = BufReader::new(&*text);
        assert!(matches!(next_line(&mut reader).await, Ok(Line::Whole(line)) if line == b"one\n"));
        assert!(matches!(next_line(&mut reader).await, Ok(Line::Whole(line)) if line == b"\n"));
        assert!(matches!(next_line(&mut reader).await, Ok(Line::TooLong)));
        let mut reader = BufReader::new(&b"half"[..]);
        assert!(matches!(next_line(&mut reader).await, Ok(Line::End)));
        assert!(matches!(next_line(&mut reader).await, Ok(Line::End)));
    }
}
