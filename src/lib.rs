//! BastionMQ: a security-first MQTT 3.1, 3.1.1 and 5.0 broker.
//!
//! This file is the map of the house and its law: the order of the `mod` lines is the dependency
//! order. A file names only modules declared above its own, and the modules of one group of
//! siblings do not name each other. `tests/architecture.rs` fails when either rule is broken.
//!
//! Without the feature `broker` the crate is the library of envelopes alone, for devices, gateways and
//! services: [`envelope`], and [`topic`] which it needs.

// ── words: what everybody may name (pure) ──────────────────────────────────────────────────────
#[cfg(feature = "broker")]
pub mod clock;
#[cfg(feature = "broker")]
pub mod secret;
pub mod topic;
#[cfg(feature = "broker")]
pub mod trace_context;
#[cfg(feature = "broker")]
pub mod message;
#[cfg(feature = "broker")]
pub mod identity;
#[cfg(feature = "broker")]
pub mod codec;

// ── engines: pure decisions, each ignorant of the others (siblings) ────────────────────────────
#[cfg(feature = "broker")]
pub mod session;
#[cfg(feature = "broker")]
pub mod router;
#[cfg(feature = "broker")]
pub mod auth;
#[cfg(feature = "broker")]
pub mod acl;
pub mod envelope;
#[cfg(feature = "broker")]
pub mod throttle;
#[cfg(feature = "broker")]
pub mod sanctions;
#[cfg(feature = "broker")]
pub mod sentinel;

// ── services: things with threads, files or counters ───────────────────────────────────────────
#[cfg(feature = "broker")]
pub mod private_file;
#[cfg(feature = "broker")]
pub mod keys;
#[cfg(feature = "broker")]
pub mod replay_log;
#[cfg(feature = "broker")]
pub mod audit;
#[cfg(feature = "broker")]
pub mod telemetry;
#[cfg(feature = "broker")]
pub mod tls;
#[cfg(feature = "broker")]
pub mod unix;
#[cfg(feature = "broker")]
pub mod http_client;
#[cfg(feature = "broker")]
pub mod identity_service;
#[cfg(feature = "broker")]
pub mod webhook;
#[cfg(feature = "broker")]
pub mod tracer;
#[cfg(feature = "broker")]
pub mod store;

// ── the broker: the only place where the engines meet ──────────────────────────────────────────
#[cfg(feature = "broker")]
pub mod broker;

// ── edges: everything with a socket (siblings) ─────────────────────────────────────────────────
#[cfg(feature = "broker")]
pub mod net;
#[cfg(feature = "broker")]
pub mod admin;
#[cfg(feature = "broker")]
pub mod control;

// ── top ────────────────────────────────────────────────────────────────────────────────────────
#[cfg(feature = "broker")]
pub mod config;
#[cfg(feature = "broker")]
pub mod reload;
#[cfg(feature = "broker")]
pub mod server;
#[cfg(feature = "broker")]
pub mod import;
#[cfg(feature = "broker")]
pub mod cli;
