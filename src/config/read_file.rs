//! Reads a text file that an operator named, as much of it as is sane.

use std::path::Path;

use crate::private_file::read_bounded;

/// The whole text of `path`, at most `limit` bytes.
///
/// # Errors
/// A message that names the file, what is wrong with it and what to do.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    let bytes = read_bounded(path, limit).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + valid.filter(|byte| **byte == b'\n').count();
        format!("{}:{line}: not UTF-8 text; save the file as UTF-8", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_an_endless_and_a_binary_file_are_told_apart() {
        let missing = read_text(Path::new("/nonexistent/policy.toml"), 10).unwrap_err();
        assert!(missing.contains("/nonexistent/policy.toml: No such file"), "{missing}");

        let endless = read_text(Path::new("/dev/zero"), 10).unwrap_err();
        assert!(endless.contains("/dev/zero is larger than 10 bytes"), "{endless}");

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"a\nb\n\xff").unwrap();
        let binary = read_text(file.path(), 10).unwrap_err();
        assert!(binary.contains(":3: not UTF-8"), "{binary}");
    }
}
