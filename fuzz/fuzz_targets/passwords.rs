//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/passwords.rs"]
mod passwords;
#[path = "../checks/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| passwords::check(bytes));
