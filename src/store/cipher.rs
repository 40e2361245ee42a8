//! What makes the records of a segment unreadable: AES-256-GCM under a key of that segment alone,
//! derived from a data key and a random salt. A segment is written once, from its beginning to its
//! end, so the place of a record in it is its nonce; segment, place and length are authenticated.
//!
//! Bulk encryption is aws-lc-rs's, which TLS links already: from 64 bytes on it is two to four times as
//! fast as aes-gcm.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

/// Bytes of a data key, and of the salt of a segment.
pub(super) const DATA_KEY_BYTES: usize = 32;
pub(super) const TAG_BYTES: usize = 16;

/// Seals and opens the records of one segment.
pub(super) struct SegmentCipher {
    key: LessSafeKey,
    number: u32,
    /// Tells the beginnings of records of this segment from bytes that look like some.
    mark: u64,
}

impl fmt::Debug for SegmentCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentCipher").field("number", &self.number).finish_non_exhaustive()
    }
}

impl SegmentCipher {
    /// The cipher of the segment `number` that has this `salt`; `None` would be a fault of the library.
    pub(super) fn new(
        data_key: &[u8; DATA_KEY_BYTES],
        salt: &[u8; DATA_KEY_BYTES],
        number: u32,
    ) -> Option<Self> {
        let number_bytes = number.to_be_bytes();
        let info = [&b"bastionmq store segment"[..], &number_bytes];
        let derived = Salt::new(HKDF_SHA256, salt).extract(data_key);
        let key = UnboundKey::from(derived.expand(&info, &AES_256_GCM).ok()?);
        let (mark, _) = salt.split_first_chunk()?;
        Some(Self { key: LessSafeKey::new(key), number, mark: u64::from_be_bytes(*mark) })
    }

    /// Encrypts `bytes`, which begin at `place` of the segment, and gives their tag.
    pub(super) fn seal(&self, place: u32, bytes: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        let aad = self.aad(place, bytes.len());
        let tag = self.key.seal_in_place_separate_tag(nonce(place), aad, bytes).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts `sealed`, bytes and tag, into `opened`; says whether they are what was written there.
    pub(super) fn open(&self, place: u32, sealed: &[u8], opened: &mut Vec<u8>) -> bool {
        let Some((bytes, tag)) = sealed.split_last_chunk::<TAG_BYTES>() else { return false };
        opened.clear();
        opened.resize(bytes.len(), 0);
        let aad = self.aad(place, bytes.len());
        self.key.open_separate_gather(nonce(place), aad, bytes, tag, opened).is_ok()
    }

    /// What a record of `length` bytes at `place` begins with. It only says where to look: whether
    /// there is a record, its tag decides.
    pub(super) fn mark(&self, place: u32, length: u32) -> u32 {
        let place = u64::from(place) << 32 | u64::from(length);
        // The finalizer of SplitMix64: every bit of the input changes half of the output.
        let mut mixed = self.mark ^ place;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }

    fn aad(&self, place: u32, length: usize) -> Aad<[u8; 16]> {
        let mut aad = [0; 16];
        let bytes = self.number.to_be_bytes().into_iter().chain(place.to_be_bytes());
        let bytes = bytes.chain((length as u64).to_be_bytes());
        aad.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Aad::from(aad)
    }
}

fn nonce(place: u32) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce.iter_mut().zip(place.to_be_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(salt: u8, number: u32) -> SegmentCipher {
        SegmentCipher::new(&[1; 32], &[salt; 32], number).unwrap()
    }

    #[test]
    fn a_record_opens_at_its_place_in_its_segment_alone() {
        let mut sealed = b"canary".to_vec();
        let tag = cipher(2, 3).seal(100, &mut sealed).unwrap();
        sealed.extend(tag);
        assert!(!sealed.windows(6).any(|bytes| bytes == b"canary"));
        let mut opened = Vec::new();
        assert!(cipher(2, 3).open(100, &sealed, &mut opened));
        assert_eq!(opened, b"canary");
        assert!(!cipher(2, 3).open(101, &sealed, &mut opened));
        assert!(!cipher(2, 4).open(100, &sealed, &mut opened));
        assert!(!cipher(3, 3).open(100, &sealed, &mut opened));
        for end in 0..sealed.len() {
            assert!(!cipher(2, 3).open(100, &sealed[..end], &mut opened), "{end}");
        }
    }
}
