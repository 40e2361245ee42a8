//! Connections to the service that are kept open between questions.

use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::http_client::{Access, Connection, Fault};

/// How long a connection is kept that nobody needs.
const IDLE: Duration = Duration::from_secs(30);

/// The service as it is reached now, and open connections to it: no more than were needed at once.
#[derive(Debug)]
pub(super) struct Pool {
    access: Access,
    /// The last one is used first, so that those that are not needed grow old.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(access: Access) -> Self {
        Self { access, idle: Mutex::default() }
    }

    /// Asks `question`. Where an open connection turns out to have been given up by the service, as it
    /// may at any time, a new one is tried, once.
    pub(super) async fn ask(&self, question: Bytes) -> Result<Bytes, Fault> {
        if let Some(mut connection) = self.take() {
            match self.access.ask(&mut connection, question.clone()).await {
                Err(Fault::Http(_)) => self.idle.lock().clear(),
                answer => return self.keep(connection, answer),
            }
        }
        let mut connection = self.access.connect().await?;
        let answer = self.access.ask(&mut connection, question).await;
        self.keep(connection, answer)
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let now = Instant::now();
        idle.retain(|it| !it.connection.is_closed() && now - it.since < IDLE);
        idle.pop().map(|it| it.connection)
    }

    /// Keeps a connection on which nothing is left to read.
    fn keep(&self, connection: Connection, answer: Result<Bytes, Fault>) -> Result<Bytes, Fault> {
        if answer.is_ok() && !connection.is_closed() {
            self.idle.lock().push(Idle { connection, since: Instant::now() });
        }
        answer
    }
}
