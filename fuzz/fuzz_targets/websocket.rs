//! Lets libFuzzer call the check of this name.
#![no_main]

#[path = "../checks/websocket.rs"]
mod websocket;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| websocket::check(bytes));
