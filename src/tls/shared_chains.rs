//! The certificates between those of clients and their authorities, kept once for all who show them.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;

/// How many chains are remembered. A fleet shows one or two; whoever shows others pays for them alone.
const REMEMBERED: usize = 16;

/// Certificates in the order in which they were shown, DER.
type Chain = Arc<[Box<[u8]>]>;

/// What clients have shown beside their own certificates, the latest last.
#[derive(Debug, Default)]
pub(super) struct SharedChains(Mutex<Vec<Chain>>);

impl SharedChains {
    /// `between` as it is shared with others who have shown the same.
    pub(super) fn share(&self, between: &[CertificateDer<'_>]) -> Chain {
        if between.is_empty() {
            return Arc::default();
        }
        let is_same =
            |known: &Chain| known.iter().map(AsRef::as_ref).eq(between.iter().map(AsRef::as_ref));
        let mut remembered = self.0.lock();
        let chain = match remembered.iter().position(is_same) {
            Some(index) => remembered.remove(index),
            None => between.iter().map(|der| Box::from(der.as_ref())).collect(),
        };
        if remembered.len() >= REMEMBERED {
            remembered.remove(0);
        }
        remembered.push(Arc::clone(&chain));
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(bytes: &[u8]) -> Vec<CertificateDer<'static>> {
        bytes.iter().map(|byte| CertificateDer::from(vec![*byte])).collect()
    }

    #[test]
    fn the_same_chain_is_kept_once_and_others_apart() {
        let chains = SharedChains::default();
        let first = chains.share(&chain(&[1, 2]));
        assert!(Arc::ptr_eq(&first, &chains.share(&chain(&[1, 2]))));
        assert!(!Arc::ptr_eq(&first, &chains.share(&chain(&[1]))));
        assert!(!Arc::ptr_eq(&first, &chains.share(&chain(&[2, 1]))));
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let chains = SharedChains::default();
        for byte in 0..100 {
            chains.share(&chain(&[byte]));
        }
        assert_eq!(chains.0.lock().len(), REMEMBERED);
        assert!(chains.share(&[]).is_empty());
    }
}
