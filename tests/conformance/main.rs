//! Every normative statement of MQTT 3.1.1 and 5.0 that binds a server or can be observed at one,
//! by its identifier, against the real binary over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../e2e/harness/mod.rs"]
mod harness;
mod coverage;
#[path = "../packets/file.rs"]
mod packet_file;
mod reasons;
mod v311;
mod v5;
