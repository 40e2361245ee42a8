//! The size of the pages that memory comes in.

use rustix::thread::disable_transparent_huge_pages;

/// Has the system hand out memory in its smallest pages. A huge one, of 2 MiB, is cleared whole when it is
/// first touched: whoever is served by the thread that does so waits for 1 to 10 ms, each time that the
/// fleet has grown by some hundred clients.
pub(super) fn choose() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory may come in huge pages");
    }
}
