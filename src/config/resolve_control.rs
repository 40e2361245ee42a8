//! The control socket: where it is to be on this machine, and who may use it.

use std::path::{Path, PathBuf};

use super::{Loaded, findings::Findings};
use crate::{
    control::{Endpoint, Settings},
    unix::{SocketMode, UnixAccess, UnixSettings, accounts, check_socket_path},
};

impl Loaded {
    /// Looks up the group, and looks at the directory of the socket. Changes nothing.
    pub(super) fn control(&self, findings: &mut Findings) -> Option<Endpoint> {
        let Settings { socket, group } = &self.config.control;
        let mut blame = |key: &str, message: String| {
            findings.problems.push(self.problem(&format!("control.{key}"), message));
        };
        let Some(socket) = socket else {
            if group.is_some() {
                let message = "`control.group` has no effect without `control.socket`";
                blame("group", message.to_owned());
            }
            return None;
        };
        let path = checked(socket).map_err(|message| blame("socket", message)).ok();
        let gid = match group.as_deref().map(gid_of).transpose() {
            Ok(gid) => gid,
            Err(message) => {
                blame("group", message);
                None
            }
        };
        let access = UnixAccess {
            uids: [0, accounts::own_uid()].into(),
            gids: gid.into_iter().collect(),
            ..UnixAccess::default()
        };
        let mode = if group.is_some() { SocketMode::GROUP } else { SocketMode::OWNER };
        Some(Endpoint { path: path?, unix: UnixSettings { mode, gid, access } })
    }
}

fn checked(socket: &Path) -> Result<PathBuf, String> {
    let path = std::path::absolute(socket)
        .map_err(|error| format!("`control.socket` is no path: {error}"))?;
    check_socket_path(&path).map_err(|error| format!("`control.socket`: {error}"))?;
    Ok(path)
}

fn gid_of(name: &str) -> Result<u32, String> {
    match accounts::gid_of(name) {
        Ok(Some(gid)) => Ok(gid),
        Ok(None) => Err(format!("`control.group`: this machine has no group {name:?}")),
        Err(error) => Err(format!("`control.group`: cannot look up group {name:?}: {error}")),
    }
}
