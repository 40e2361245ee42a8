//! The two messages of a SCRAM client, parted by a line feed: no panic, an answer that is written as
//! the standard asks, and nobody is let in but by the one proof that is right.

use std::sync::LazyLock;

use bastionmq::auth::{PasswordFile, ScramExchange, ScramSeeds};
use bastionmq::secret::Secret;

/// The user and the verifier of RFC 7677 section 3; the password is `pencil`.
const USERS: &str = "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                     WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                     wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

/// The messages of the user who knows the password, to the nonce of this test.
const PROVEN: [&[u8]; 2] = [
    b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    b"c=biws,r=rOprNGfwEbeRWgbNEkqOBwcHBwcHBwcHBwcHBwcHBwcH,p=fjLnNYsewsbUH2CCJy22XEx7IDxhPb5qj4Jlm54d1Xk=",
];

static FILE: LazyLock<PasswordFile> =
    LazyLock::new(|| PasswordFile::parse(USERS).expect("a password file"));
static DECOY_KEY: LazyLock<Secret> = LazyLock::new(|| Secret::from("key"));

pub(crate) fn check(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (first, last) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let seeds = ScramSeeds { nonce: [7; 18], decoy_key: &DECOY_KEY };
    let Ok((exchange, answer)) = ScramExchange::begin(&FILE, first, seeds) else { return };
    check_answer(first, &exchange, &answer);
    let is_right = [first, last] == PROVEN;
    match exchange.finish(last) {
        Ok(proven) => {
            assert!(is_right && &*proven.user == "user", "{}", proven.user);
            assert!(proven.server_final.starts_with(b"v="));
        }
        Err(failure) => assert!(!is_right && !failure.to_string().is_empty()),
    }
}

fn check_answer(first: &[u8], exchange: &ScramExchange, answer: &[u8]) {
    let answer = std::str::from_utf8(answer).expect("text");
    let parts: Vec<_> = answer.split(',').collect();
    let [nonce, salt, iterations] = parts[..] else { panic!("{answer}") };
    let first = std::str::from_utf8(first).expect("text, as it was accepted");
    let asked = first.split(',').find(|part| part.starts_with("r=")).expect("a nonce");
    assert!(nonce.starts_with(asked) && nonce.len() == asked.len() + 24, "{answer}");
    assert!(salt.starts_with("s=") && iterations.starts_with("i="), "{answer}");
    assert!(!exchange.user().is_empty() && first.contains("n="));
}
