//! The real binary with other people's clients. Each module is one part of what it promises.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and then says why"
)]

mod admin_page;
mod audit;
mod audit_reading;
mod authenticators;
mod harness;
mod protocol;
mod rumqttc_v4;
mod rumqttc_v5;
mod bad_input;
mod bans;
mod browser;
mod budgets;
mod certificates;
mod command_line;
mod control;
mod endurance;
mod floodgate;
mod floods;
mod http_service;
mod listeners;
mod log_reload;
mod log_stream;
mod logins;
mod logs;
mod mosquitto_matrix;
mod operations;
mod permissions;
mod proxy_protocol;
mod quarantine;
mod quickstart;
mod reload;
mod revocation;
mod scram;
mod sentinel;
mod sentinel_attacks;
mod sentinel_control;
mod sentinel_offline;
mod sentinel_responses;
mod sentinel_scene;
mod sys;
mod throttle;
mod throttled_bytes;
mod tokens;
mod traces;
mod transports;
mod unix_sockets;
mod webhook;
mod websocket;
