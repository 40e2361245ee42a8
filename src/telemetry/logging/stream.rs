//! A machine that takes messages over one connection, each with its length (RFC 6587 section 3.4.1).

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use socket2::{SockRef, TcpKeepalive};

use super::guarded::Sink;

/// How long it is waited for at each of its addresses.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// How long a message waits for somebody who does not read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;
/// How long nothing is said before it is asked whether the other end is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A machine that is connected to once there is something to say, and again whenever that has ended.
pub(super) struct TcpPeer {
    /// With its port.
    name: String,
    stream: Option<TcpStream>,
    frame: Vec<u8>,
}

impl TcpPeer {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { name: format!("{host}:{port}"), stream: None, frame: Vec::new() }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.frame.clear();
        write!(self.frame, "{} ", message.len())?;
        self.frame.extend_from_slice(message);
        if let Some(stream) = self.stream.as_mut().filter(|stream| is_open(stream)) {
            match stream.write_all(&self.frame) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::other("nobody reads there"));
                }
                // Whoever was there may have come back.
                Err(_) => {}
            }
        }
        self.stream = None;
        let mut stream = connect(&self.name)?;
        stream.write_all(&self.frame)?;
        self.stream = Some(stream);
        Ok(())
    }
}

impl Sink for TcpPeer {
    fn put(&mut self, message: &[u8]) -> io::Result<()> {
        let sent = self.send(message);
        if sent.is_err() {
            // A part of a message may have gone: only a new connection begins with a whole one.
            self.stream = None;
        }
        sent.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.name)))
    }

    fn open(&mut self) -> io::Result<()> {
        self.stream = Some(connect(&self.name)?);
        Ok(())
    }

    fn is_waited_for(&self) -> bool {
        true
    }
}

fn connect(name: &str) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in name.to_socket_addrs()?.take(MOST_ADDRESSES) {
        match connect_to(address) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    Ok(stream)
}

/// Whether the other end has not ended the connection: what is written after that would be lost unseen.
/// It has nothing to say, and what it says is thrown away.
fn is_open(stream: &TcpStream) -> bool {
    let mut said = [0; 512];
    match recv(stream, said.as_mut_slice(), RecvFlags::DONTWAIT) {
        Ok((length, _)) => length > 0,
        Err(error) => error == rustix::io::Errno::AGAIN,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    fn listening() -> (TcpListener, TcpPeer) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, TcpPeer::new("127.0.0.1", port))
    }

    fn received<const N: usize>(stream: &mut TcpStream) -> String {
        let mut bytes = [0; N];
        stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn each_message_has_its_length_in_bytes_before_it() {
        let (listener, mut peer) = listening();
        for message in ["é\n2 x", "", "two"] {
            peer.put(message.as_bytes()).unwrap();
        }
        let (mut stream, _) = listener.accept().unwrap();
        assert_eq!(received::<15>(&mut stream), "6 é\n2 x0 3 two");
    }

    #[test]
    fn whoever_goes_away_and_comes_back_is_connected_to_again_with_a_whole_message() {
        let (listener, mut peer) = listening();
        peer.put(b"one").unwrap();
        let (mut stream, address) = listener.accept().unwrap();
        assert_eq!(received::<5>(&mut stream), "3 one");
        let place = listener.local_addr().unwrap();
        drop((stream, listener, address));
        let refused = peer.put(b"two").unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{place}: ")), "{refused}");
        let listener = TcpListener::bind(place).unwrap();
        peer.put(b"two").unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        assert_eq!(received::<5>(&mut stream), "3 two");
    }

    #[test]
    fn what_the_other_end_says_is_not_minded() {
        let (listener, mut peer) = listening();
        peer.put(b"one").unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[b'x'; 5_000]).unwrap();
        peer.put(b"two").unwrap();
        assert_eq!(received::<10>(&mut stream), "3 one3 two");
    }
}
