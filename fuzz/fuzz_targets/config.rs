//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/config.rs"]
mod config;
#[path = "../checks/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config::check(bytes));
