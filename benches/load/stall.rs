//! When something that goes on has stopped for good, so that no run waits for ever.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::time::sleep;

/// How often is looked whether anything has moved.
const GLANCE: Duration = Duration::from_millis(100);

thread_local! {
    /// Bytes that all connections have sent and received. A run is on one thread.
    static MOVED: Cell<u64> = const { Cell::new(0) };
}

/// Notes that a connection has sent or received so many bytes.
pub(crate) fn note_moved(bytes: usize) {
    MOVED.set(MOVED.get() + bytes as u64);
}

/// A count that is to go on.
#[derive(Debug)]
pub(crate) struct Stall {
    patience: Duration,
    count: u64,
    since: Instant,
}

impl Stall {
    /// How long `count` may stay what it is.
    pub(crate) fn new(patience: Duration, count: u64) -> Self {
        Self { patience, count, since: Instant::now() }
    }

    /// Fails when `count` has been the same for too long; says that this is `missing`.
    pub(crate) fn check(
        &mut self,
        count: u64,
        missing: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if count != self.count {
            (self.count, self.since) = (count, Instant::now());
        } else if self.since.elapsed() > self.patience {
            bail!("nothing has come for {:?}: {}", self.patience, missing());
        }
        Ok(())
    }
}

/// Does `work`, unless no byte moves on any connection for so long; says that this is `missing`.
pub(crate) async fn unless_stalled<T>(
    patience: Duration,
    work: impl Future<Output = anyhow::Result<T>>,
    missing: impl Fn() -> String,
) -> anyhow::Result<T> {
    tokio::pin!(work);
    let mut stall = Stall::new(patience, MOVED.get());
    loop {
        tokio::select! {
            result = &mut work => return result,
            () = sleep(GLANCE) => stall.check(MOVED.get(), &missing)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(300);

    #[tokio::test(start_paused = true)]
    async fn what_never_comes_is_named() {
        let never = std::future::pending::<anyhow::Result<()>>();
        let waited = unless_stalled(Duration::ZERO, never, || "the answer".to_owned()).await;
        let error = waited.unwrap_err().to_string();
        assert!(error.ends_with("the answer"), "{error}");
    }

    #[tokio::test]
    async fn what_goes_on_may_take_its_time() {
        let slow = async {
            for _ in 0..8 {
                sleep(PATIENCE / 4).await;
                note_moved(1);
            }
            Ok(())
        };
        unless_stalled(PATIENCE, slow, String::new).await.unwrap();
    }
}
