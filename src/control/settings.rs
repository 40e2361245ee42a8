//! `[control]`: where operators speak to a broker that runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The control socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The path of the Unix socket, in a directory of its own. Without one there is no way to speak to
    /// the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// A group whose members may use it, beside the user that the broker runs as and root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}
