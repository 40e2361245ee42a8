//! The thread that accepts connections, or refuses them: of a flood those who are inside notice no more than
//! that processors are busy.

use std::io;
use std::thread;

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How much less it weighs than those who serve, where processors are short.
const NICENESS: i32 = 10;

/// By which all connections come. Dropped, it lets nobody in any more.
#[derive(Debug)]
pub struct Entrance {
    runtime: Handle,
    /// The thread goes on until this is dropped.
    _open: oneshot::Sender<()>,
}

impl Entrance {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no more threads or file descriptors.
    pub fn open() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (open, closed) = oneshot::channel::<()>();
        thread::Builder::new().name("accept".to_owned()).spawn(move || {
            weigh_less();
            // It fails once the other side is dropped, which is all that it is for.
            let _ = runtime.block_on(closed);
        })?;
        Ok(Self { runtime: handle, _open: open })
    }

    /// Sockets that are bound meanwhile are listened to by the thread.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Has the thread do this.
    pub(super) fn spawn(
        &self,
        accepting: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        self.runtime.spawn(accepting)
    }
}

/// Lowers the priority of this thread alone, as Linux does it.
fn weigh_less() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "the thread that accepts connections keeps its priority");
    }
}
