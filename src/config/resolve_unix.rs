//! What a Unix listener's settings mean on this machine: names of users and groups become numbers.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use crate::{
    net::ListenerSettings,
    unix::{MAX_PROCESS_NAME, SocketMode, UnixAccess, UnixSettings, accounts, check_socket_path},
};

/// The settings as far as they could be understood, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct ResolvedUnix {
    pub(super) settings: UnixSettings,
    /// Keys, and what is wrong with each.
    pub(super) problems: Vec<(&'static str, String)>,
    pub(super) warning: Option<String>,
}

/// Looks up every name, and looks at the directory of the socket. Changes nothing.
pub(super) fn resolve_unix(path: &Path, settings: &ListenerSettings) -> ResolvedUnix {
    let mut resolved = ResolvedUnix::default();
    if let Err(error) = check_socket_path(path) {
        resolved.problems.push(("url", error.to_string()));
    }
    resolved.settings.gid = settings
        .unix_group
        .as_ref()
        .and_then(|name| resolved.number("unix_group", "group", name, accounts::gid_of));
    let default_mode =
        if settings.unix_group.is_some() { SocketMode::GROUP } else { SocketMode::OWNER };
    resolved.settings.mode = settings.unix_mode.unwrap_or(default_mode);
    resolved.settings.access = resolved.access(settings);
    resolved.warning = resolved.unreachable(path);
    resolved
}

impl ResolvedUnix {
    fn access(&mut self, settings: &ListenerSettings) -> UnixAccess {
        let mut access = UnixAccess {
            uids: settings.unix_allow_uids.iter().copied().collect(),
            gids: settings.unix_allow_gids.iter().copied().collect(),
            executables: BTreeSet::new(),
            processes: BTreeSet::new(),
        };
        for name in &settings.unix_allow_users {
            access.uids.extend(self.number("unix_allow_users", "user", name, accounts::uid_of));
        }
        for name in &settings.unix_allow_groups {
            access.gids.extend(self.number("unix_allow_groups", "group", name, accounts::gid_of));
        }
        for path in &settings.unix_allow_executables {
            access.executables.extend(self.executable(path));
        }
        for name in &settings.unix_allow_processes {
            access.processes.extend(self.process(name));
        }
        if settings.unix_allow_users.is_empty()
            && settings.unix_allow_groups.is_empty()
            && settings.unix_allow_uids.is_empty()
            && settings.unix_allow_gids.is_empty()
        {
            access.uids.insert(accounts::own_uid());
            access.gids.extend(self.settings.gid);
        }
        access
    }

    fn number(
        &mut self,
        key: &'static str,
        kind: &str,
        name: &str,
        look_up: fn(&str) -> io::Result<Option<u32>>,
    ) -> Option<u32> {
        let message = match look_up(name) {
            Ok(Some(number)) => return Some(number),
            Ok(None) => format!("`{key}`: this machine has no {kind} {name:?}"),
            Err(error) => format!("`{key}`: cannot look up {kind} {name:?}: {error}"),
        };
        self.problems.push((key, message));
        None
    }

    /// The path as the kernel will show it.
    fn executable(&mut self, path: &str) -> Option<PathBuf> {
        const KEY: &str = "unix_allow_executables";
        let message = match Path::new(path).is_absolute().then(|| Path::new(path).canonicalize()) {
            Some(Ok(path)) => return Some(path),
            Some(Err(error)) => format!("`{KEY}`: cannot find {path:?}: {error}"),
            None => format!("`{KEY}`: {path:?} is no absolute path, such as \"/usr/bin/python3\""),
        };
        self.problems.push((KEY, message));
        None
    }

    /// The name as the kernel will show it.
    fn process(&mut self, name: &str) -> Option<String> {
        const KEY: &str = "unix_allow_processes";
        let message = match name.len() {
            0 => format!("`{KEY}`: a process has a name"),
            1..=MAX_PROCESS_NAME if !name.contains(char::is_control) => {
                return Some(name.to_owned());
            }
            1..=MAX_PROCESS_NAME => format!("`{KEY}`: {name:?} holds a control character"),
            _ => format!(
                "`{KEY}`: {name:?} is longer than the {MAX_PROCESS_NAME} bytes that the kernel keeps \
                 of a name: write it as `ps -o comm` shows it"
            ),
        };
        self.problems.push((KEY, message));
        None
    }

    /// Who is let in here but not by the file system would wonder.
    fn unreachable(&self, path: &Path) -> Option<String> {
        let UnixSettings { mode, access, .. } = &self.settings;
        let privileged = [0, accounts::own_uid()];
        let is_for_others =
            !access.gids.is_empty() || access.uids.iter().any(|uid| !privileged.contains(uid));
        (is_for_others && !mode.is_shared()).then(|| {
            format!(
                "unix://{}: others than the user that the broker runs as may connect, but the mode \
                 of the socket, {mode}, keeps them out: set `unix_group` to a group of theirs",
                path.display()
            )
        })
    }
}
