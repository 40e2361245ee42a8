//! How a connection is woken.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use atomic_waker::AtomicWaker;

/// The bell of one connection, which alone waits for it. A ring that nobody waits for is kept;
/// several are one.
#[derive(Debug, Default)]
pub struct Bell {
    has_rung: AtomicBool,
    sleeper: AtomicWaker,
}

impl Bell {
    /// Makes the connection look at its mailbox and its command.
    pub(super) fn ring(&self) {
        // Whoever has rung before is waking it, and it has not looked since.
        if !self.has_rung.swap(true, Ordering::AcqRel) {
            self.sleeper.wake();
        }
    }

    /// Ready if the bell has rung since this was last ready; wakes the task of `cx` when it does.
    pub fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_rung.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        self.sleeper.register(cx.waker());
        // It may have rung before the registration.
        if self.has_rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Returns once the bell has rung since this last returned.
    pub async fn rung(&self) {
        poll_fn(|cx| self.poll_rung(cx)).await;
    }
}

/// For those who know nothing of bells.
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_that_nobody_waits_for_is_kept_and_several_are_one() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        bell.rung().await;
        let again = poll_fn(|cx| Poll::Ready(bell.poll_rung(cx))).await;
        assert!(again.is_pending());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_ring_is_lost_between_two_looks() {
        let (bell, answer) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let echo = tokio::spawn({
            let (bell, answer) = (Arc::clone(&bell), Arc::clone(&answer));
            async move {
                for _ in 0..20_000 {
                    bell.rung().await;
                    answer.ring();
                }
            }
        });
        for _ in 0..20_000 {
            bell.ring();
            answer.rung().await;
        }
        echo.await.expect("the echo ends");
    }
}
