//! The file of a Unix socket: in a directory that others cannot write, taken over from nobody who
//! lives, and removed by none but its maker.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, fchown, lchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::fs::{Mode, OFlags};
use socket2::{Domain, SockAddr, Socket, Type};

use super::UnixSettings;
use super::accounts::{account, own_uid};

/// How often, and after how long, a directory is tried again that somebody else has locked.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Bytes of the longest path that a socket address holds, with a null character behind it (unix(7)).
pub const MAX_SOCKET_PATH: usize = 107;

const WRITABLE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a Unix socket cannot be bound. Names the file.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// The system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    System {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory of the directory is missing.
    #[error("there is no directory {}: make it first", .0.display())]
    NoParent(PathBuf),
    /// What should be the directory is something else, or a symbolic link.
    #[error("{} is no directory, and symbolic links are not followed here", .0.display())]
    NoDirectory(PathBuf),
    /// The directory is another user's.
    #[error(
        "{} belongs to {owner}, who could put another socket in place of this one: choose a \
         directory of the user that the broker runs as, or let the broker make one",
        path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: String,
    },
    /// Others may write to the directory, or to one above it.
    #[error(
        "everybody may write to {}, and so put another socket in place of this one: chmod o-w it, \
         or choose a directory that the broker can make",
        .0.display()
    )]
    Exposed(PathBuf),
    /// The path does not fit an address.
    #[error(
        "{} is a path of {} bytes; that of a Unix socket has at most {MAX_SOCKET_PATH}",
        .0.display(),
        .0.as_os_str().len()
    )]
    TooLong(PathBuf),
    /// There is a file which is no socket.
    #[error("{} exists and is no socket: remove it, or choose another path", .0.display())]
    NoSocket(PathBuf),
    /// Somebody serves the socket.
    #[error("{} is served by {holder}: stop that first, or choose another path", path.display())]
    Served {
        /// The socket.
        path: PathBuf,
        /// Who serves it.
        holder: String,
    },
    /// Somebody else keeps the directory locked.
    #[error("{} is locked by another process that is binding a socket in it", .0.display())]
    Locked(PathBuf),
}

type Result<T, E = UnixSocketError> = std::result::Result<T, E>;

/// The file of a socket that this process has bound. Dropped, it is removed, unless it is another's
/// by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// The file system and the number of the file in it.
    identity: (u64, u64),
}

/// Finds out, without changing anything, whether a socket could be at `path`.
///
/// # Errors
/// When the directory is not fit for it, or could not be made.
pub fn check_socket_path(path: &Path) -> Result<()> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(UnixSocketError::TooLong(path.to_owned()));
    }
    let directory = directory_of(path);
    if exists(directory)? {
        return open_directory(directory).map(drop);
    }
    match parent_of(directory) {
        parent if parent.is_dir() => refuse_exposed_ancestors(directory),
        parent => Err(UnixSocketError::NoParent(parent.to_owned())),
    }
}

/// Binds `path` and listens. Whatever the umask is, nobody can connect before the file has its mode
/// and group: until it listens, connecting is refused. The socket does not block.
///
/// # Errors
/// When the directory is not fit for it, somebody serves the socket, or the system refuses.
pub fn bind(
    path: &Path,
    settings: &UnixSettings,
    backlog: i32,
) -> Result<(UnixListener, SocketFile)> {
    let directory = directory_of(path);
    make_directory(directory, settings)?;
    // Two brokers that start at once, or one that starts as another ends, take turns.
    let _lock = lock(open_directory(directory)?, directory)?;
    remove_stale(path)?;
    let failed = |action| failure(action, path);
    let socket = new_socket().map_err(failed("make a socket for"))?;
    let address = SockAddr::unix(path).map_err(failed("bind"))?;
    socket.bind(&address).map_err(failed("bind"))?;
    let metadata = set_mode(path, settings).map_err(failed("set the mode of"))?;
    let file = SocketFile { path: path.to_owned(), identity: identity(&metadata) };
    socket.listen(backlog).map_err(failed("listen at"))?;
    Ok((socket.into(), file))
}

impl SocketFile {
    /// Gives the socket the group and the mode of `settings`: from now on, those may connect whom the
    /// file system lets by them.
    ///
    /// # Errors
    /// When somebody has replaced the file, or the group is not ours to give.
    pub fn set_mode(&self, settings: &UnixSettings) -> Result<()> {
        let gid = settings.gid.or_else(|| Some(rustix::process::getegid().as_raw()));
        let settings = UnixSettings { gid, ..settings.clone() };
        let directory = directory_of(&self.path);
        let _lock = lock(open_directory(directory)?, directory)?;
        set_mode(&self.path, &settings).map_err(failure("set the mode of", &self.path))?;
        Ok(())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let directory = directory_of(&self.path);
        let is_ours = |metadata: Metadata| identity(&metadata) == self.identity;
        let removed = open_directory(directory)
            .and_then(|opened| lock(opened, directory))
            .and_then(|_lock| match fs::symlink_metadata(&self.path).map(is_ours) {
                Ok(true) => fs::remove_file(&self.path).map_err(failure("remove", &self.path)),
                _ => Ok(()),
            });
        if let Err(error) = removed {
            tracing::warn!("a socket stays behind: {error}");
        }
    }
}

fn failure(action: &'static str, path: &Path) -> impl Fn(io::Error) -> UnixSocketError + Copy {
    move |source| UnixSocketError::System { action, path: path.to_owned(), source }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether there is anything of that name, a dangling link included.
fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failure("look at", path)(error)),
    }
}

fn make_directory(directory: &Path, settings: &UnixSettings) -> Result<()> {
    if exists(directory)? {
        return Ok(());
    }
    let failed = failure("make the directory", directory);
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        // Another broker was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(UnixSocketError::NoParent(parent_of(directory).to_owned()));
        }
        Err(error) => return Err(failed(error)),
    }
    let opened = open_directory(directory)?;
    fchown(&opened, None, settings.gid).map_err(failed)?;
    opened.set_permissions(Permissions::from_mode(settings.mode.of_directory())).map_err(failed)
}

/// The directory itself, if nobody but its owner, and its group if that may write to it, decides
/// what is in it.
fn open_directory(directory: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened =
        rustix::fs::open(directory, flags, Mode::empty()).map_err(|errno| match errno {
            rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => {
                UnixSocketError::NoDirectory(directory.to_owned())
            }
            errno => failure("open the directory", directory)(errno.into()),
        })?;
    let opened = File::from(opened);
    let metadata = opened.metadata().map_err(failure("look at", directory))?;
    if ![0, own_uid()].contains(&metadata.uid()) {
        let owner = user(metadata.uid());
        return Err(UnixSocketError::NotOurs { path: directory.to_owned(), owner });
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(UnixSocketError::Exposed(directory.to_owned()));
    }
    refuse_exposed_ancestors(directory)?;
    Ok(opened)
}

/// Whoever may write to a directory further up can put another one in place of this: unless that
/// directory is sticky, as /tmp is.
fn refuse_exposed_ancestors(directory: &Path) -> Result<()> {
    let failed = failure("look at", directory);
    let above = fs::canonicalize(parent_of(directory)).map_err(failed)?;
    for ancestor in above.ancestors() {
        let mode = fs::metadata(ancestor).map_err(failed)?.mode();
        if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
            return Err(UnixSocketError::Exposed(ancestor.to_owned()));
        }
    }
    Ok(())
}

fn parent_of(directory: &Path) -> &Path {
    directory.parent().unwrap_or(directory)
}

fn lock(opened: File, directory: &Path) -> Result<File> {
    for _ in 0..TRIES {
        match opened.try_lock() {
            Ok(()) => return Ok(opened),
            Err(fs::TryLockError::WouldBlock) => sleep(BETWEEN_TRIES),
            Err(fs::TryLockError::Error(error)) => return Err(failure("lock", directory)(error)),
        }
    }
    Err(UnixSocketError::Locked(directory.to_owned()))
}

/// Removes the socket of a process that is gone.
fn remove_stale(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failure("look at", path)(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(UnixSocketError::NoSocket(path.to_owned()));
    }
    match holder(path) {
        Ok(Some(holder)) => Err(UnixSocketError::Served { path: path.to_owned(), holder }),
        Ok(None) => fs::remove_file(path).map_err(failure("remove", path)),
        Err(error) => Err(failure("connect to", path)(error)),
    }
}

/// Who serves the socket, if anybody does. Never waits: not for a full backlog either.
fn holder(path: &Path) -> io::Result<Option<String>> {
    let socket = new_socket()?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => {
            let peer = getsockopt(&socket.as_fd(), PeerCredentials)?;
            Ok(Some(process(peer.pid(), peer.uid())))
        }
        Err(error) => match error.raw_os_error().map(nix::errno::Errno::from_raw) {
            Some(nix::errno::Errno::ECONNREFUSED) => Ok(None),
            Some(nix::errno::Errno::EAGAIN | nix::errno::Errno::EPROTOTYPE) => {
                Ok(Some("another process".to_owned()))
            }
            _ => Err(error),
        },
    }
}

fn process(pid: i32, uid: u32) -> String {
    let executable = fs::read_link(format!("/proc/{pid}/exe"));
    let executable = executable.map(|path| format!(" ({})", path.display())).unwrap_or_default();
    format!("process {pid}{executable} of {}", user(uid))
}

fn user(uid: u32) -> String {
    match account(uid) {
        Ok(Some(account)) => format!("user {}", account.name),
        _ => format!("user number {uid}"),
    }
}

fn new_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Gives the very file that was bound its group and mode: not what a member of the directory's group
/// may have put in its place.
fn set_mode(path: &Path, settings: &UnixSettings) -> io::Result<Metadata> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = opened.metadata()?;
    if !metadata.file_type().is_socket() || metadata.uid() != own_uid() {
        return Err(io::Error::other("somebody has replaced it"));
    }
    if settings.gid.is_some() {
        lchown(path, None, settings.gid)?;
    }
    // The file is open as a place only, for which there is no fchmod; this is the way to it that
    // follows nothing else.
    let place = format!("/proc/self/fd/{}", opened.as_raw_fd());
    fs::set_permissions(place, Permissions::from_mode(settings.mode.bits()))?;
    Ok(metadata)
}

#[cfg(test)]
mod tests;
