//! BastionMQ: a security-first MQTT 3.1, 3.1.1 and 5.0 broker.
//!
//! This file is the map of the house and its law: the order of the `mod` lines is the dependency
//! order. A file names only modules declared above its own, and the modules of one group of
//! siblings do not name each other. `tests/architecture.rs` fails when either rule is broken.

// ── words: what everybody may name (pure) ──────────────────────────────────────────────────────
pub mod clock;
pub mod secret;
pub mod topic;
pub mod message;
pub mod identity;
pub mod codec;

// ── engines: pure decisions, each ignorant of the others (siblings) ────────────────────────────
pub mod session;
pub mod router;
pub mod auth;
pub mod acl;
pub mod envelope;

// ── services: things with threads, files or counters ───────────────────────────────────────────
pub mod private_file;
pub mod keys;
pub mod telemetry;
pub mod tls;
pub mod unix;
pub mod identity_service;

// ── the broker: the only place where the engines meet ──────────────────────────────────────────
pub mod broker;

// ── edges: everything with a socket (siblings) ─────────────────────────────────────────────────
pub mod net;
pub mod admin;
pub mod control;

// ── top ────────────────────────────────────────────────────────────────────────────────────────
pub mod config;
pub mod reload;
pub mod server;
pub mod import;
pub mod cli;
