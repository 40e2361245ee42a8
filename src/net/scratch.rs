//! Read buffers that belong to the worker threads: a connection that is idle holds none.

use std::cell::RefCell;

/// Bytes read at once.
pub(super) const SCRATCH_SIZE: usize = 64 << 10;
/// Buffers that one thread keeps.
const KEPT: usize = 4;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A read buffer, lent by the thread that first needs it, kept by the one that returns it.
#[derive(Debug)]
pub(super) struct Scratch(Option<Box<[u8]>>);

impl Scratch {
    pub(super) fn borrow() -> Self {
        let free = FREE.with_borrow_mut(Vec::pop);
        Self(Some(free.unwrap_or_else(|| vec![0; SCRATCH_SIZE].into_boxed_slice())))
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(buffer) = self.0.take() else { return };
        // A thread that is ending keeps nothing.
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && free.len() < KEPT
            {
                free.push(buffer);
            }
        });
    }
}
