//! Sockets that take one message at a time: of this machine, and over the network.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::guarded::Sink;

/// How long a message waits for somebody who does not read.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long an address that was looked up is believed.
const LOOKED_UP_FOR: Duration = Duration::from_secs(300);

/// A daemon on this machine, which may be started anew at any time.
pub(super) struct UnixPeer {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

/// A machine that is sent to; nobody knows what it gets (RFC 5426 section 4).
pub(super) struct UdpPeer {
    /// With its port.
    name: String,
    found: Option<Found>,
}

struct Found {
    socket: UdpSocket,
    address: SocketAddr,
    at: Instant,
}

impl UnixPeer {
    /// Nothing is opened before there is something to say.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: None }
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.connect(&self.path)?;
        Ok(socket)
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            match socket.send(message) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::other("nobody reads there"));
                }
                // Whoever was there may have come back.
                Err(_) => self.socket = None,
            }
        }
        let socket = self.connect()?;
        socket.send(message)?;
        self.socket = Some(socket);
        Ok(())
    }
}

impl Sink for UnixPeer {
    fn put(&mut self, message: &[u8]) -> io::Result<()> {
        let sent = self.send(message);
        sent.map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        })
    }

    fn open(&mut self) -> io::Result<()> {
        self.socket = Some(self.connect()?);
        Ok(())
    }
}

impl UdpPeer {
    /// Nothing is looked up before there is something to say.
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { name: format!("{host}:{port}"), found: None }
    }

    fn find(&self) -> io::Result<Found> {
        let mut addresses = self.name.to_socket_addrs()?;
        let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
        let from = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(from)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Found { socket, address, at: Instant::now() })
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if self.found.as_ref().is_none_or(|found| found.at.elapsed() >= LOOKED_UP_FOR) {
            match (self.find(), &mut self.found) {
                (Ok(found), kept) => *kept = Some(found),
                // What was known so long is likelier than nothing.
                (Err(_), Some(kept)) => kept.at = Instant::now(),
                (Err(error), None) => return Err(error),
            }
        }
        let Some(Found { socket, address, .. }) = &self.found else { return Ok(()) };
        socket.send_to(message, address).map(drop)
    }
}

impl Sink for UdpPeer {
    fn put(&mut self, message: &[u8]) -> io::Result<()> {
        let sent = self.send(message);
        if sent.is_err() {
            self.found = None;
        }
        sent.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.name)))
    }

    fn open(&mut self) -> io::Result<()> {
        self.found = Some(self.find()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_daemon_that_comes_back_is_spoken_to_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        let mut peer = UnixPeer::new(&path);
        assert!(peer.put(b"lost").unwrap_err().to_string().contains("log: No such file"));
        let daemon = UnixDatagram::bind(&path).unwrap();
        peer.put(b"one").unwrap();
        assert_eq!(received(&daemon), "one");
        drop(daemon);
        assert!(peer.put(b"lost").is_err());
        std::fs::remove_file(&path).unwrap();
        let first = UnixDatagram::bind(&path).unwrap();
        peer.put(b"two").unwrap();
        assert_eq!(received(&first), "two");
        drop(first);
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        peer.put(b"three").unwrap();
        assert_eq!(received(&second), "three");
    }

    #[test]
    fn a_daemon_that_does_not_read_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        let _daemon = UnixDatagram::bind(&path).unwrap();
        let mut peer = UnixPeer::new(&path);
        let refused = (0..100_000).find_map(|_| peer.put(&[b'x'; 1_000]).err()).unwrap();
        assert!(refused.to_string().contains("nobody reads there"), "{refused}");
    }

    #[test]
    fn a_machine_is_sent_to_by_its_address() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut peer = UdpPeer::new("127.0.0.1", daemon.local_addr().unwrap().port());
        peer.put(b"one").unwrap();
        let mut buffer = [0; 10];
        let (length, _) = daemon.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"one");
        let nowhere = UdpPeer::new("no such host.invalid", 514).put(b"lost").unwrap_err();
        assert!(nowhere.to_string().starts_with("no such host.invalid:514: "), "{nowhere}");
    }
}
