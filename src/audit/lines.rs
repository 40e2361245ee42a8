//! The lines of a file, of which none takes more memory than a record may.

use std::io::{self, BufRead, Read};

use super::AuditError;
use super::bounds::MOST_LINE_BYTES;
use super::files::{AuditFile, lines_of};

/// Reads a file line by line, also one that is still being written.
pub struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    /// Whether the next one begins where the reader is.
    is_over: bool,
    /// Whether the rest of a line that is too long comes first.
    is_skipping: bool,
}

/// What stands at one place of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'l> {
    /// A line, with its end.
    Whole(&'l [u8]),
    /// A line that is longer than 1 MiB, and so no record.
    TooLong,
    /// Nothing more is there yet but this part of a line, which may be empty. Asked again, it goes on with
    /// what was written since.
    End(&'l [u8]),
}

impl Lines {
    /// Those of `file`, also where it has been compressed since it was found.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(file: &AuditFile) -> Result<Self, AuditError> {
        Ok(Self::new(lines_of(file)?))
    }

    fn new(reader: Box<dyn BufRead + Send>) -> Self {
        Self { reader, line: Vec::new(), is_over: true, is_skipping: false }
    }

    /// The next line.
    ///
    /// # Errors
    /// When it cannot be read, or does not decompress.
    pub fn read(&mut self) -> io::Result<Line<'_>> {
        if self.is_over {
            self.line.clear();
            self.is_over = false;
        }
        while self.is_skipping {
            self.line.clear();
            if self.read_on()? == 0 {
                return Ok(Line::End(&[]));
            }
            if self.line.ends_with(b"\n") {
                self.line.clear();
                self.is_skipping = false;
            }
        }
        self.read_on()?;
        if self.line.ends_with(b"\n") {
            self.is_over = true;
            return Ok(Line::Whole(&self.line));
        }
        if self.line.len() >= MOST_LINE_BYTES {
            (self.is_over, self.is_skipping) = (true, true);
            return Ok(Line::TooLong);
        }
        Ok(Line::End(&self.line))
    }

    fn read_on(&mut self) -> io::Result<usize> {
        let room = MOST_LINE_BYTES.saturating_sub(self.line.len());
        self.reader.by_ref().take(room as u64).read_until(b'\n', &mut self.line)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{BufReader, Write};

    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_takes_no_more_memory() {
        let mut text = b"a\n".to_vec();
        text.resize(5 * MOST_LINE_BYTES, b'x');
        text.extend(b"\nb\nhal");
        let mut lines = Lines::new(Box::new(io::Cursor::new(text)));
        assert_eq!(lines.read().unwrap(), Line::Whole(b"a\n"));
        assert_eq!(lines.read().unwrap(), Line::TooLong);
        assert_eq!(lines.read().unwrap(), Line::Whole(b"b\n"));
        assert_eq!(lines.read().unwrap(), Line::End(b"hal"));
        assert!(lines.line.capacity() <= 2 * MOST_LINE_BYTES, "{}", lines.line.capacity());
        // The longest that there is.
        let mut longest = vec![b'x'; MOST_LINE_BYTES - 1];
        longest.push(b'\n');
        let mut lines = Lines::new(Box::new(io::Cursor::new(longest)));
        assert!(
            matches!(lines.read().unwrap(), Line::Whole(line) if line.len() == MOST_LINE_BYTES)
        );
        assert_eq!(lines.read().unwrap(), Line::End(b""));
    }

    #[test]
    fn a_line_that_is_written_in_parts_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut file = File::create(&path).unwrap();
        let mut lines = Lines::new(Box::new(BufReader::new(File::open(&path).unwrap())));
        assert_eq!(lines.read().unwrap(), Line::End(b""));
        file.write_all(b"on").unwrap();
        assert_eq!(lines.read().unwrap(), Line::End(b"on"));
        file.write_all(b"e\ntwo\n").unwrap();
        assert_eq!(lines.read().unwrap(), Line::Whole(b"one\n"));
        assert_eq!(lines.read().unwrap(), Line::Whole(b"two\n"));
        fs::remove_file(&path).unwrap();
        assert_eq!(lines.read().unwrap(), Line::End(b""));
    }
}
