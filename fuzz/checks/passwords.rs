//! Any text as a password file: no panic, and what is accepted is written again as it was read.

use bastionmq::auth::PasswordFile;

use crate::text::text_of;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(file) = PasswordFile::parse(text_of(bytes)) else { return };
    let users: Vec<_> = file.users().map(|(user, _)| user.to_owned()).collect();
    let again = PasswordFile::parse(&file.to_string()).expect("what was written can be read");
    assert!(again.users().map(|(user, _)| user.to_owned()).eq(users));
}
