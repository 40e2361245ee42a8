//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/listen_url.rs"]
mod listen_url;
#[path = "../checks/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| listen_url::check(bytes));
