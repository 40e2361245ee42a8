//! Texts out of bytes.

/// The text that `bytes` begin with.
pub(crate) fn text_of(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}
