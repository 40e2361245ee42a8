//! A file that is whole and stays as it is, with less room taken.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::PrivateFileError;

/// Behind the name of what is being written.
const PART: &str = ".part";

/// Puts the gzip file `compressed`, with the age of `plain`, in place of that. It is written aside and
/// renamed: after a crash there is one of both, or both and they say the same. Nobody else may write to `plain`
/// or make files of these names meanwhile.
///
/// # Errors
/// When it cannot be read or written; then `plain` is still there.
pub fn compress(plain: &Path, compressed: &Path) -> Result<(), PrivateFileError> {
    compress_unless(plain, compressed, &AtomicBool::new(false))
}

/// As [`compress`]; it fails soon after `is_stopped` has become true.
///
/// # Errors
/// As [`compress`].
pub fn compress_unless(
    plain: &Path,
    compressed: &Path,
    is_stopped: &AtomicBool,
) -> Result<(), PrivateFileError> {
    let mut aside = OsString::from(compressed);
    aside.push(PART);
    let aside = Path::new(&aside);
    let written = write(plain, compressed, aside, is_stopped);
    if written.is_err() {
        // What is left of it only takes room. There may be nothing.
        let _ = fs::remove_file(aside);
    }
    written.map_err(PrivateFileError::system("compress", plain))
}

fn write(plain: &Path, compressed: &Path, aside: &Path, is_stopped: &AtomicBool) -> io::Result<()> {
    match fs::remove_file(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Of somebody who was killed.
        _ => {}
    }
    let source = File::open(plain)?;
    // Never through a link that somebody has put there.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(aside)?;
    let mut encoder = GzEncoder::new(file, Compression::default());
    io::copy(&mut Stoppable { source: &source, is_stopped }, &mut encoder)?;
    let file = encoder.finish()?;
    // Its age is that of what is in it.
    file.set_modified(source.metadata()?.modified()?)?;
    file.sync_all()?;
    fs::rename(aside, compressed)?;
    if let Some(directory) = compressed.parent().filter(|it| !it.as_os_str().is_empty()) {
        // Nor may the one be gone and the other not be there after a power loss.
        File::open(directory)?.sync_all()?;
    }
    fs::remove_file(plain)
}

/// Reads until it is stopped.
struct Stoppable<'a> {
    source: &'a File,
    is_stopped: &'a AtomicBool,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("it was stopped"));
        }
        self.source.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn it_says_the_same_is_as_old_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, gz) = (directory.path().join("a"), directory.path().join("a.gz"));
        fs::write(&plain, "the same ".repeat(1_000)).unwrap();
        fs::write(directory.path().join("a.gz.part"), "of somebody who was killed").unwrap();
        let modified = fs::metadata(&plain).unwrap().modified().unwrap();
        compress(&plain, &gz).unwrap();
        let mut text = String::new();
        GzDecoder::new(File::open(&gz).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "the same ".repeat(1_000));
        let metadata = fs::metadata(&gz).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
        assert_eq!(metadata.modified().unwrap(), modified);
        assert!(metadata.len() < 1_000);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_in_the_way_is_not_written_through_and_nothing_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, gz) = (directory.path().join("a"), directory.path().join("a.gz"));
        let other = directory.path().join("other");
        fs::write(&plain, "kept").unwrap();
        fs::write(&other, "untouched").unwrap();
        symlink(&other, directory.path().join("a.gz.part")).unwrap();
        compress(&plain, &gz).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "untouched");
        fs::write(&plain, "kept").unwrap();
        fs::remove_file(&gz).unwrap();
        fs::create_dir(&gz).unwrap();
        assert!(compress(&plain, &gz).is_err());
        assert_eq!(fs::read_to_string(&plain).unwrap(), "kept");
        assert!(!directory.path().join("a.gz.part").exists());
    }

    #[test]
    fn whoever_is_stopped_has_changed_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, gz) = (directory.path().join("a"), directory.path().join("a.gz"));
        fs::write(&plain, "kept").unwrap();
        assert!(compress_unless(&plain, &gz, &AtomicBool::new(true)).is_err());
        assert_eq!(fs::read_to_string(&plain).unwrap(), "kept");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
