//! Any text as a password file: no panic, and what is accepted is written again as it was read.
#![no_main]

use bastionmq::auth::PasswordFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(file) = PasswordFile::parse(text) else { return };
    let users: Vec<_> = file.users().map(|(user, _)| user.to_owned()).collect();
    let again = PasswordFile::parse(&file.to_string()).expect("what was written can be read");
    assert!(again.users().map(|(user, _)| user.to_owned()).eq(users));
});
