//! An archive: bytes that are encrypted as they come, and that are known to be all that were written when
//! they have been read to their end.
//!
//! ```text
//!  0   8  "BMQARCH", and the version of this format: 1
//!  8   4  length of what is next
//! 12  ..  the key of this archive alone, sealed by a master key
//! ..  ..  frames: 64 KiB of content, encrypted, and their tag (16); the last frame has less than 64 KiB
//! ```
//! Frames are encrypted with AES-256-GCM. The nonce is the number of the frame, and whether it is the last:
//! frames that are missing, doubled or exchanged do not open, at the end neither (the STREAM construction of
//! Hoang, Reyhanitabar, Rogaway and Vizár, 2015).

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::cipher::{DATA_KEY_BYTES, TAG_BYTES};
use super::data_keys::random;
use crate::keys::{self, MasterKey, Purpose, SealError};

pub(super) const MAGIC: [u8; 8] = *b"BMQARCH\x01";
const FRAME_BYTES: usize = 64 << 10;
/// Bytes of the sealed key, at most.
const MAX_SEALED_BYTES: u32 = 1_024;

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
    /// There is no randomness for a key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It is something else.
    #[error("this is no archive of a store")]
    Foreign,
    /// A later BastionMQ has written it.
    #[error("the archive was written by a later BastionMQ: use that one")]
    Newer,
    /// Its key is another one.
    #[error("the archive does not open: {0}")]
    Key(keys::OpenError),
    /// It is not as it was written.
    #[error("the archive is damaged or cut off behind {intact} bytes of its content")]
    Damaged {
        /// As many can be read.
        intact: u64,
    },
}

/// Encrypts what is written to it.
pub(super) struct ArchiveWriter<W> {
    out: W,
    key: LessSafeKey,
    frame: u32,
    buffer: Vec<u8>,
}

/// Decrypts what it reads.
pub(super) struct ArchiveReader<R> {
    input: R,
    key: LessSafeKey,
    frame: u32,
    intact: u64,
    is_over: bool,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive that `master` opens.
    pub(super) fn begin(mut out: W, master: &MasterKey) -> Result<Self, ArchiveError> {
        let key = random()?;
        let sealed = master.seal(Purpose::Archive, key.as_slice())?;
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        out.write_all(&MAGIC)?;
        out.write_all(&length.to_be_bytes())?;
        out.write_all(&sealed)?;
        Ok(Self { out, key: cipher(&key)?, frame: 0, buffer: Vec::new() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= FRAME_BYTES {
            let rest = self.buffer.split_off(FRAME_BYTES);
            let frame = std::mem::replace(&mut self.buffer, rest);
            self.seal(frame, false)?;
        }
        Ok(())
    }

    /// Writes the end, without which it is no archive.
    pub(super) fn finish(mut self) -> Result<W, ArchiveError> {
        let last = std::mem::take(&mut self.buffer);
        self.seal(last, true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal(&mut self, mut frame: Vec<u8>, is_last: bool) -> Result<(), ArchiveError> {
        let nonce = nonce(self.frame, is_last);
        let next = self.frame.checked_add(1);
        self.frame = next.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::from(MAGIC), &mut frame);
        sealed.map_err(|_| io::Error::other("a frame cannot be encrypted"))?;
        Ok(self.out.write_all(&frame)?)
    }
}

impl<R: Read> ArchiveReader<R> {
    /// Begins to read what is behind [`MAGIC`].
    pub(super) fn begin(mut input: R, master: &MasterKey) -> Result<Self, ArchiveError> {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MAX_SEALED_BYTES {
            return Err(ArchiveError::Foreign);
        }
        let mut sealed = vec![0; length as usize];
        input.read_exact(&mut sealed)?;
        let key = master.open_sealed(Purpose::Archive, &sealed).map_err(ArchiveError::Key)?;
        let key = key.expose().try_into().map_err(|_| ArchiveError::Foreign)?;
        Ok(Self { input, key: cipher(key)?, frame: 0, intact: 0, is_over: false })
    }

    /// Appends the next bytes to `to`; there are none where nothing was appended.
    pub(super) fn read(&mut self, to: &mut Vec<u8>) -> Result<(), ArchiveError> {
        if self.is_over {
            return Ok(());
        }
        let mut sealed = Vec::new();
        let whole = FRAME_BYTES + TAG_BYTES;
        self.input.by_ref().take(whole as u64).read_to_end(&mut sealed)?;
        self.is_over = sealed.len() < whole;
        let nonce = nonce(self.frame, self.is_over);
        let damaged = ArchiveError::Damaged { intact: self.intact };
        let Some(frame) = self.frame.checked_add(1) else { return Err(damaged) };
        self.frame = frame;
        match self.key.open_in_place(nonce, Aad::from(MAGIC), &mut sealed) {
            Ok(opened) => {
                self.intact += opened.len() as u64;
                to.extend_from_slice(opened);
                Ok(())
            }
            Err(_) => Err(damaged),
        }
    }

    /// Whether it was read to its end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

fn cipher(key: &[u8; DATA_KEY_BYTES]) -> Result<LessSafeKey, ArchiveError> {
    let key = UnboundKey::new(&AES_256_GCM, key);
    Ok(LessSafeKey::new(key.map_err(|_| io::Error::other("no key of an archive"))?))
}

fn nonce(frame: u32, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    let bytes = frame.to_be_bytes().into_iter().chain([u8::from(is_last)]);
    nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::super::tests::MASTER;
    use super::*;

    fn archive(content: &[u8]) -> Vec<u8> {
        let mut writer = ArchiveWriter::begin(Vec::new(), &MASTER).unwrap();
        content.chunks(1_000).for_each(|chunk| writer.write(chunk).unwrap());
        writer.finish().unwrap()
    }

    fn read(archive: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let mut reader = ArchiveReader::begin(&archive[MAGIC.len()..], &MASTER)?;
        let mut content = Vec::new();
        while !reader.is_over() {
            reader.read(&mut content)?;
        }
        Ok(content)
    }

    #[test]
    fn what_is_written_is_read_whatever_its_length() {
        for length in [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES] {
            let content = (0..length).map(|at| at as u8).collect::<Vec<_>>();
            assert_eq!(read(&archive(&content)).unwrap(), content, "{length}");
        }
    }

    #[test]
    fn an_archive_that_is_cut_off_or_changed_anywhere_is_refused() {
        let whole = archive(&vec![7; 2 * FRAME_BYTES + 10]);
        let frame = FRAME_BYTES + TAG_BYTES;
        let last = whole.len() - 10 - TAG_BYTES;
        for end in [20, 100, last - frame, last - 1, last, last + 1, whole.len() - 1] {
            assert!(read(&whole[..end]).is_err(), "cut to {end}");
        }
        for byte in (0..whole.len()).step_by(997).chain([8, 12, whole.len() - 1]) {
            if byte < MAGIC.len() {
                continue;
            }
            let mut changed = whole.clone();
            changed[byte] ^= 1;
            assert!(read(&changed).is_err(), "byte {byte}");
        }
        let mut exchanged = whole.clone();
        exchanged[last - 2 * frame..last].rotate_left(frame);
        assert!(read(&exchanged).is_err());
    }

    #[test]
    fn the_content_does_not_show() {
        let sealed = archive(b"canary canary canary");
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
    }
}
