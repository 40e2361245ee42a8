//! What other brokers are configured with, turned into the files of this one.
//!
//! [`mosquitto()`] reads a `mosquitto.conf` and what it names. Everything that it finds is either in
//! the [`Files`] that it makes or among its [`Finding`]s: nothing is dropped in silence. Where a
//! permission cannot be said in the same way, what is written permits less.

mod acl_file;
mod conf_lines;
mod conf_tree;
mod duration;
mod dynamic_roles;
mod dynamic_security;
mod finding;
mod lacking;
mod listeners;
mod log;
mod output;
mod policy_text;
mod ranks;
mod security;
mod settings;
mod source;
mod topics;
mod translate;
mod users;

pub use finding::{Finding, Place, Weight};
pub use output::Files;
pub use source::{ImportError, Mapping};
pub use translate::{Imported, mosquitto};
