//! The server's part of SCRAM-SHA-256 (RFC 5802, RFC 7677): the password never crosses the wire, and
//! each side proves to the other that it knows it, or what was made of it.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::password::{PasswordFile, PasswordProof};
use super::scram_message::{ClientFinal, ClientFirst, ScramFault};
use super::scram_verifier::ScramVerifier;
use crate::secret::Secret;

/// The name of the method of authentication, as CONNECT and AUTH carry it.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";

/// Bytes of randomness in the server's part of the nonce.
const NONCE_BYTES: usize = 18;

/// What an exchange needs from outside.
#[derive(Clone, Copy, Debug)]
pub struct ScramSeeds<'a> {
    /// Never the same twice.
    pub nonce: [u8; NONCE_BYTES],
    /// Always the same, and known to nobody: unknown users get their salts by it.
    pub decoy_key: &'a Secret,
}

/// A client has said who it claims to be, and is to prove it.
pub struct ScramExchange {
    user: Arc<str>,
    verifier: ScramVerifier,
    is_known: bool,
    proof: PasswordProof,
    /// What the client must send for its channel binding, in base64.
    channel_binding: String,
    /// The client's nonce and the server's.
    nonce: String,
    /// `client-first-message-bare,server-first-message,`.
    transcript: String,
}

/// A client that has proven who it is.
#[derive(Debug)]
pub struct ScramProven {
    /// Who it is.
    pub user: Arc<str>,
    /// By what.
    pub proof: PasswordProof,
    /// What proves the server to the client.
    pub server_final: Vec<u8>,
}

/// Why an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScramFailure {
    /// The client does not speak SCRAM.
    #[error(transparent)]
    Malformed(#[from] ScramFault),
    /// A wrong password, or a user that is not known: nobody is told which.
    #[error("bad user name or password")]
    BadCredentials,
}

impl ScramExchange {
    /// Reads the client's first message, and says what to answer. A user that has no verifier in
    /// `users` is asked for a proof like all others.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn begin(
        users: &PasswordFile,
        client_first: &[u8],
        seeds: ScramSeeds<'_>,
    ) -> Result<(Self, Vec<u8>), ScramFault> {
        let first = ClientFirst::parse(client_first)?;
        // Made for every user, so that it takes the same time.
        let decoy = users.scram_decoy(&first.user, seeds.decoy_key);
        let known = users.scram_verifier(&first.user).cloned();
        let is_known = known.is_some();
        let verifier = known.unwrap_or(decoy);
        let nonce = format!("{}{}", first.nonce, Base64::encode_string(&seeds.nonce));
        let salt = Base64::encode_string(verifier.salt());
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations());
        let exchange = Self {
            user: Arc::from(&*first.user),
            verifier,
            is_known,
            proof: users.proof(true),
            channel_binding: Base64::encode_string(first.gs2_header.as_bytes()),
            nonce,
            transcript: format!("{},{server_first},", first.bare),
        };
        Ok((exchange, server_first.into_bytes()))
    }

    /// Who the client claims to be.
    #[must_use]
    pub fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// Reads the client's last message, and checks its proof.
    ///
    /// # Errors
    /// What is wrong with the message, or that the proof is.
    pub fn finish(self, client_final: &[u8]) -> Result<ScramProven, ScramFailure> {
        let last = ClientFinal::parse(client_final)?;
        if last.channel_binding != self.channel_binding {
            return Err(ScramFault::ChannelBinding.into());
        }
        if !bool::from(last.nonce.as_bytes().ct_eq(self.nonce.as_bytes())) {
            return Err(ScramFault::Nonce.into());
        }
        let auth_message = format!("{}{}", self.transcript, last.without_proof).into_bytes();
        let is_proven = self.verifier.is_proven_by(&last.proof, &auth_message);
        if !(bool::from(is_proven) & self.is_known) {
            return Err(ScramFailure::BadCredentials);
        }
        let signature = self.verifier.server_signature(&auth_message);
        let server_final = format!("v={}", Base64::encode_string(signature.as_slice()));
        let server_final = server_final.into_bytes();
        Ok(ScramProven { user: self.user, proof: self.proof, server_final })
    }
}

impl fmt::Debug for ScramExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramExchange({})", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677 section 3.
    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                            WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                            wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    /// The server's part of the nonce of the example is no base64, so it is put in its place.
    fn rfc_7677() -> ScramExchange {
        let (exchange, _) = begin(CLIENT_FIRST).expect("an exchange");
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
        let transcript = format!("{},{SERVER_FIRST},", &CLIENT_FIRST[3..]);
        ScramExchange { nonce, transcript, ..exchange }
    }

    fn users() -> PasswordFile {
        PasswordFile::parse(&format!("user:{VERIFIER}\n")).expect("a file")
    }

    fn begin(client_first: &str) -> Result<(ScramExchange, String), ScramFault> {
        begin_with(&users(), client_first)
    }

    fn begin_with(
        users: &PasswordFile,
        client_first: &str,
    ) -> Result<(ScramExchange, String), ScramFault> {
        let decoy_key = Secret::from("key");
        let seeds = ScramSeeds { nonce: [7; 18], decoy_key: &decoy_key };
        let (exchange, answer) = ScramExchange::begin(users, client_first.as_bytes(), seeds)?;
        Ok((exchange, String::from_utf8(answer).expect("text")))
    }

    fn failure(exchange: ScramExchange, client_final: &str) -> ScramFailure {
        exchange.finish(client_final.as_bytes()).expect_err(client_final)
    }

    #[test]
    fn the_example_of_rfc_7677_is_answered_as_there() {
        let proven = rfc_7677().finish(CLIENT_FINAL.as_bytes()).expect("a proof");
        assert_eq!(&*proven.user, "user");
        assert_eq!(String::from_utf8(proven.server_final).unwrap(), SERVER_FINAL);
    }

    #[test]
    fn the_first_answer_extends_the_nonce_and_names_salt_and_iterations() {
        let (_, answer) = begin(CLIENT_FIRST).expect("an exchange");
        assert_eq!(
            answer,
            "r=rOprNGfwEbeRWgbNEkqOBwcHBwcHBwcHBwcHBwcHBwcH,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
    }

    #[test]
    fn a_proof_of_anything_else_is_refused() {
        let wrong = [
            CLIENT_FINAL.replace("p=dHz", "p=eHz"),
            // The same proof of a message with one thing more.
            CLIENT_FINAL.replace(",p=", ",x=1,p="),
        ];
        for message in wrong {
            assert_eq!(failure(rfc_7677(), &message), ScramFailure::BadCredentials, "{message}");
        }
    }

    #[test]
    fn another_nonce_or_channel_binding_is_refused() {
        for nonce in ["rOprNGfwEbeRWgbNEkqO", "x", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"] {
            let message =
                CLIENT_FINAL.replace("rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", nonce);
            assert_eq!(failure(rfc_7677(), &message), ScramFault::Nonce.into(), "{nonce}");
        }
        for binding in ["eSws", "biwsbiws", "", "cD10bHM="] {
            let message = CLIENT_FINAL.replace("c=biws", &format!("c={binding}"));
            let fault = ScramFault::ChannelBinding.into();
            assert_eq!(failure(rfc_7677(), &message), fault, "{binding}");
        }
    }

    #[test]
    fn an_unknown_user_looks_like_one_with_another_password() {
        let ask = |user: &str| begin(&format!("n,,n={user},r=x")).expect("an exchange").1;
        let shape = |answer: &str| {
            let (salt, iterations) = answer.split_once(",s=").unwrap().1.split_once(',').unwrap();
            (salt.len(), iterations.to_owned())
        };
        assert_eq!(ask("eve"), ask("eve"), "the salt of a user does not change");
        assert_ne!(ask("eve"), ask("eva"));
        assert_eq!(shape(&ask("eve")), shape(&ask("user")));
        let (exchange, _) = begin("n,,n=eve,r=x").expect("an exchange");
        let message = CLIENT_FINAL.replace(
            "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            "xBwcHBwcHBwcHBwcHBwcHBwcH",
        );
        assert_eq!(failure(exchange, &message), ScramFailure::BadCredentials);
    }

    #[test]
    fn a_user_without_verifier_cannot_be_proven_at_all() {
        let (exchange, _) = begin_with(&PasswordFile::default(), CLIENT_FIRST).expect("a decoy");
        // Even who could compute the proof is not let in.
        assert!(!exchange.is_known);
        let exchange = ScramExchange { is_known: false, ..rfc_7677() };
        assert_eq!(failure(exchange, CLIENT_FINAL), ScramFailure::BadCredentials);
    }

    #[test]
    fn r21_absent_empty_nul_and_64_kib_credentials_do_not_get_in() {
        let long = "x".repeat(64 << 10);
        for first in ["", "\0", "n,,n=,r=x", "n,,r=x", "n,,n=\0,r=x", &long] {
            assert!(begin(first).is_err(), "{first:.20}");
        }
        assert!(begin(&format!("n,,n={long},r=x")).is_err());
        for last in ["", "\0", "c=biws,r=x,p=", "c=biws,p=\0", &long] {
            assert!(rfc_7677().finish(last.as_bytes()).is_err(), "{last:.20}");
        }
        assert!(rfc_7677().finish(format!("{CLIENT_FINAL}{long}").as_bytes()).is_err());
    }
}
