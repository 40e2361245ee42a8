//! Who is at the other end of a Unix socket, and whether that may connect.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::net::unix::UCred;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::accounts::{account, group_name};
use super::process::{Seen, handle_of_peer, look_at};
use super::{UnixAccess, UnixSettings};
use crate::identity::{Attribute, AttributeSource, Attributes, UnixPeer};

/// Questions about accounts that may wait for the system at once: a directory service that hangs
/// holds no more threads.
const MOST_LOOKUPS: usize = 4;

/// Judges those who connect to one listener.
#[derive(Debug)]
pub struct Doorman {
    access: Arc<UnixAccess>,
    lookups: Arc<Semaphore>,
}

/// Why a process may not connect.
#[derive(Debug, thiserror::Error)]
pub enum UnixPeerError {
    /// The system does not tell who it is.
    #[error("the system does not say who connects: {0}")]
    Unknown(#[from] io::Error),
    /// Neither its user nor one of its groups is let in.
    #[error("user {user} is not let in here, nor is a group that it is in")]
    NotLetIn {
        /// Whose process it is.
        user: Arc<str>,
    },
    /// It runs another program.
    #[error("user {user} runs {}, which is not let in here", executable.display())]
    Executable {
        /// Whose process it is.
        user: Arc<str>,
        /// What it runs.
        executable: PathBuf,
    },
    /// It calls itself by another name.
    #[error("user {user} runs a process named {name:?}, which is not let in here")]
    Process {
        /// Whose process it is.
        user: Arc<str>,
        /// What it calls itself.
        name: String,
    },
    /// It cannot be seen which program it runs.
    #[error(
        "cannot see what user {user} runs: {source}; for processes of other users the broker needs \
         CAP_SYS_PTRACE"
    )]
    Hidden {
        /// Whose process it is.
        user: Arc<str>,
        /// What is in the way.
        source: io::Error,
    },
    /// It cannot be seen what it calls itself.
    #[error("cannot see which process of user {user} connects: {source}")]
    Nameless {
        /// Whose process it is.
        user: Arc<str>,
        /// What is in the way.
        source: io::Error,
    },
}

impl Doorman {
    /// Lets in whom `settings` let in.
    #[must_use]
    pub fn new(settings: UnixSettings) -> Self {
        Self { access: Arc::new(settings.access), lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)) }
    }

    /// Who connects, as the kernel knew it when it did. Which groups a user is in is asked anew each
    /// time.
    ///
    /// # Errors
    /// Why it may not connect.
    pub async fn admit(&self, stream: &UnixStream) -> Result<UnixPeer, UnixPeerError> {
        let credentials = stream.peer_cred()?;
        let handle = handle_of_peer(stream);
        let access = Arc::clone(&self.access);
        // The semaphore is never closed.
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let lookup = spawn_blocking(move || {
            // Held to the end of the question, which may come long after nobody waits for it.
            let _permit = permit;
            judge(credentials, handle, &access)
        });
        lookup.await.map_err(io::Error::other)?
    }
}

/// May wait for the system.
fn judge(
    credentials: UCred,
    handle: Option<OwnedFd>,
    access: &UnixAccess,
) -> Result<UnixPeer, UnixPeerError> {
    let (uid, gid) = (credentials.uid(), credentials.gid());
    let pid = credentials.pid().filter(|pid| *pid > 0);
    let (user, mut gids): (Arc<str>, _) = match account(uid)? {
        Some(account) => (account.name.into(), account.gids),
        None => (uid.to_string().into(), Vec::new()),
    };
    gids.push(gid);
    gids.sort_unstable();
    gids.dedup();
    if !access.uids.contains(&uid) && !gids.iter().any(|gid| access.gids.contains(gid)) {
        return Err(UnixPeerError::NotLetIn { user });
    }
    let seen = look_at(pid, uid, handle)
        .unwrap_or_else(|error| Seen { name: Err(error.kind().into()), executable: Err(error) });
    let running = access.judge(&user, seen)?;
    let attributes = attributes(uid, pid, &user, &gids, running)?;
    Ok(UnixPeer { uid, gid, pid, user, attributes })
}

/// What could be seen of a process that may connect.
struct Running {
    executable: Option<PathBuf>,
    name: Option<String>,
}

impl UnixAccess {
    /// Lets in a process of `user` by what it runs; what cannot be seen is on no list.
    fn judge(&self, user: &Arc<str>, seen: Seen) -> Result<Running, UnixPeerError> {
        let user = || Arc::clone(user);
        let executable = match seen.executable {
            Ok(path) if self.executables.is_empty() || self.executables.contains(&path) => {
                Some(path)
            }
            Ok(executable) => return Err(UnixPeerError::Executable { user: user(), executable }),
            Err(_) if self.executables.is_empty() => None,
            Err(source) => return Err(UnixPeerError::Hidden { user: user(), source }),
        };
        let name = match seen.name {
            Ok(name) if self.processes.is_empty() || self.processes.contains(&name) => Some(name),
            Ok(name) => return Err(UnixPeerError::Process { user: user(), name }),
            Err(_) if self.processes.is_empty() => None,
            Err(source) => return Err(UnixPeerError::Nameless { user: user(), source }),
        };
        Ok(Running { executable, name })
    }
}

fn attributes(
    uid: u32,
    pid: Option<i32>,
    user: &Arc<str>,
    gids: &[u32],
    Running { executable, name }: Running,
) -> io::Result<Attributes> {
    let mut found = vec![("user", Arc::clone(user)), ("uid", uid.to_string().into())];
    for gid in gids {
        found.extend(group_name(*gid)?.map(|name| ("group", name.into())));
        found.push(("gid", gid.to_string().into()));
    }
    found.extend(pid.map(|pid| ("pid", pid.to_string().into())));
    let executable = executable.as_deref().and_then(Path::to_str);
    found.extend(executable.map(|path| ("executable", path.into())));
    found.extend(name.map(|name| ("process", name.into())));
    let attribute = |(name, value): (&str, Arc<str>)| Attribute {
        source: AttributeSource::Unix,
        name: name.into(),
        value,
    };
    Ok(found.into_iter().map(attribute).collect())
}
