//! A client that sends any bytes whatever, and shows the very bytes that come back.
//!
//! It encodes and reads packets by itself: what the broker's own codec gets wrong must not be wrong
//! here in the same way.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use super::{Login, PATIENCE};

pub(crate) const CONNECT: u8 = 0x10;
pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const SUBSCRIBE: u8 = 0x82;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const UNSUBSCRIBE: u8 = 0xA2;
pub(crate) const PINGREQ: u8 = 0xC0;
pub(crate) const PINGRESP: u8 = 0xD0;
pub(crate) const DISCONNECT: u8 = 0xE0;
pub(crate) const AUTH: u8 = 0xF0;

/// Reason codes.
pub(crate) const BAD_CLIENT_ID: u8 = 0x85;
pub(crate) const NOT_AUTHORIZED: u8 = 0x87;

/// One packet as it came: its first byte, and what follows the Remaining Length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

/// A connection, blocking, with a limit on every wait.
pub(crate) struct RawClient {
    stream: Transport,
    /// Messages that came while something else was awaited.
    kept: VecDeque<Frame>,
}

enum Transport {
    Plain(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl RawClient {
    pub(crate) fn plain(port: u16) -> Self {
        Self { stream: Transport::Plain(connected(port)), kept: VecDeque::new() }
    }

    /// Over a connection that somebody else has made.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream: Transport::Plain(patient(stream)), kept: VecDeque::new() }
    }

    /// Over a Unix socket, if the file system lets us.
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        Ok(Self { stream: Transport::Unix(stream), kept: VecDeque::new() })
    }

    /// TLS to `localhost`; the handshake happens with the first bytes.
    pub(crate) fn tls(port: u16, config: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(config, name).expect("a TLS client");
        let stream = StreamOwned::new(session, connected(port));
        Self { stream: Transport::Tls(Box::new(stream)), kept: VecDeque::new() }
    }

    /// As [`RawClient::plain`], from another address of this machine than 127.0.0.1.
    pub(crate) fn plain_from(source: Ipv4Addr, port: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of this machine");
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        socket.connect(&target.into()).expect("the listener is open");
        Self { stream: Transport::Plain(patient(socket.into())), kept: VecDeque::new() }
    }

    /// As [`RawClient::tls`], with what a proxy says in front of the handshake.
    pub(crate) fn tls_behind(port: u16, config: Arc<ClientConfig>, header: &[u8]) -> Self {
        let mut client = Self::tls(port, config);
        client.send_below_tls(header);
        client
    }

    /// Sends `bytes` as they are, below TLS where there is any.
    pub(crate) fn send_below_tls(&mut self, bytes: &[u8]) {
        let sent = match &mut self.stream {
            Transport::Tls(stream) => stream.sock.write_all(bytes),
            Transport::Plain(stream) => stream.write_all(bytes),
            Transport::Unix(stream) => stream.write_all(bytes),
        };
        sent.expect("it reads");
    }

    /// A plain connection with its CONNECT accepted.
    pub(crate) fn connected(port: u16, connect: &Connect) -> Self {
        let mut client = Self::plain(port);
        client.send(&connect.encode());
        let answer = client.read();
        assert_eq!((answer.first, answer.body.get(1)), (CONNACK, Some(&0)), "{answer:?}");
        client
    }

    /// Sends `bytes`. A broker that has already hung up may have sent its reason before.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send(bytes) {
            let hung_up = matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
            );
            assert!(hung_up, "cannot send: {error}");
        }
    }

    /// Sends `bytes`, to a broker that may have hung up.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream().write_all(bytes)?;
        self.stream().flush()
    }

    /// The next packet. Fails when the connection ends instead.
    pub(crate) fn read(&mut self) -> Frame {
        self.read_or_end().expect("the connection ended before a packet came")
    }

    /// The next packet, or `None` when the connection has ended.
    pub(crate) fn read_or_end(&mut self) -> Option<Frame> {
        let [first] = self.read_bytes()?;
        let mut length = 0_usize;
        for shift in [0, 7, 14, 21] {
            let [byte] = self.read_bytes()?;
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(Frame { first, body: self.read_vec(length)? })
    }

    /// The next packet, which is of the type `first`.
    pub(crate) fn expect(&mut self, first: u8) -> Frame {
        let frame = self.read();
        assert_eq!(frame.first & 0xF0, first & 0xF0, "{frame:?}");
        frame
    }

    /// As [`RawClient::expect`], but PUBLISH packets may come before: they are kept.
    pub(crate) fn expect_and_keep(&mut self, first: u8) -> Frame {
        loop {
            let frame = self.read();
            if frame.first & 0xF0 != PUBLISH {
                assert_eq!(frame.first & 0xF0, first & 0xF0, "{frame:?}");
                return frame;
            }
            self.kept.push_back(frame);
        }
    }

    /// The first packet that was kept, or the next one to come.
    pub(crate) fn kept_or_next(&mut self) -> Frame {
        self.kept.pop_front().unwrap_or_else(|| self.read())
    }

    /// Fails unless the connection ends without another packet.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.read_or_end(), None, "the connection goes on");
    }

    /// Fails unless the other side has ended the connection in order: by a FIN, behind a close_notify
    /// where there is TLS. A reset could have taken the last packet with it.
    pub(crate) fn expect_orderly_end(&mut self) {
        let end = self.stream().read(&mut [0]);
        assert!(matches!(end, Ok(0)), "no orderly end: {end:?}");
    }

    /// Fails unless a DISCONNECT with `reason` comes, and then the end.
    pub(crate) fn expect_disconnect(&mut self, reason: u8) {
        let frame = self.expect(DISCONNECT);
        let found = frame.body.first().copied().unwrap_or(0);
        assert_eq!(found, reason, "DISCONNECT {found:#04x} instead of {reason:#04x}");
        self.expect_end();
    }

    /// Fails unless a PINGREQ is answered, and before anything else comes: nothing was on its way.
    pub(crate) fn expect_silence(&mut self) {
        self.send(&packet(PINGREQ, &[]));
        let frame = self.read();
        assert_eq!(frame.first, PINGRESP, "{frame:?}");
    }

    /// Whether a message on `topic` has come by now, or came before the connection ended. What else
    /// has come is passed over.
    pub(crate) fn has_heard(&mut self, topic: &str) -> bool {
        let mut has_heard = false;
        // What was there before the first answer has been sent before the second one.
        for _ in 0..2 {
            self.send(&packet(PINGREQ, &[]));
            while let Some(frame) = self.read_or_end() {
                match frame.first & 0xF0 {
                    PINGRESP => break,
                    PUBLISH => has_heard |= frame.publish(5).topic == topic,
                    _ => {}
                }
            }
        }
        has_heard
    }

    /// As [`RawClient::has_heard`], up to the end of the connection, which is awaited.
    pub(crate) fn hears_before_its_end(&mut self, topic: &str) -> bool {
        let mut has_heard = false;
        while let Some(frame) = self.read_or_end() {
            has_heard |= frame.first & 0xF0 == PUBLISH && frame.publish(5).topic == topic;
        }
        has_heard
    }

    /// The certificate that the server has shown, once the handshake is over.
    pub(crate) fn server_certificate(&self) -> Option<&[u8]> {
        match &self.stream {
            Transport::Tls(stream) => stream.conn.peer_certificates()?.first().map(|der| &**der),
            Transport::Plain(_) | Transport::Unix(_) => None,
        }
    }

    /// Subscribes; the reason code of the answer.
    pub(crate) fn subscribe(&mut self, version: u8, filter: &str, options: u8) -> u8 {
        self.send(&subscribe(version, 1, filter, options));
        let answer = self.expect(SUBACK);
        *answer.body.last().expect("a reason code")
    }

    /// Ends the connection without a DISCONNECT.
    pub(crate) fn break_off(self) {
        // The other end may have been faster.
        let _ = match &self.stream {
            Transport::Plain(stream) => stream.shutdown(Shutdown::Both),
            Transport::Unix(stream) => stream.shutdown(Shutdown::Both),
            Transport::Tls(stream) => stream.sock.shutdown(Shutdown::Both),
        };
    }

    /// The next bytes, whatever they mean, or `None` when the connection has ended.
    pub(crate) fn read_bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Some(bytes)
    }

    /// The next `length` bytes, or `None` when the connection has ended.
    pub(crate) fn read_vec(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Some(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        let error = match self.stream().read_exact(bytes) {
            Ok(()) => return Some(()),
            Err(error) => error,
        };
        let in_time = !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(in_time, "neither a packet nor the end within {} s", PATIENCE.as_secs());
        None
    }

    fn stream(&mut self) -> &mut dyn ReadWrite {
        match &mut self.stream {
            Transport::Plain(stream) => stream,
            Transport::Unix(stream) => stream,
            Transport::Tls(stream) => stream.as_mut(),
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn connected(port: u16) -> TcpStream {
    patient(TcpStream::connect(("127.0.0.1", port)).expect("the listener is open"))
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
    stream.set_nodelay(true).expect("no delay");
    stream
}

// ── packets ────────────────────────────────────────────────────────────────────────────────────

/// A packet: `first` byte, Remaining Length, `body`.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(variable_byte_integer(body.len()));
    bytes.extend_from_slice(body);
    bytes
}

/// A length as MQTT writes it, in as few bytes as it takes.
pub(crate) fn variable_byte_integer(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let digit = u8::try_from(value % 128).expect("below 128");
        value /= 128;
        bytes.push(if value > 0 { digit | 0x80 } else { digit });
        if value == 0 {
            return bytes;
        }
    }
}

/// A string or binary data: two bytes of length, then the bytes.
pub(crate) fn data(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).expect("at most 65,535 bytes");
    [&length.to_be_bytes(), bytes].concat()
}

/// Properties: their length, then all of them. None at all before 5.0.
pub(crate) fn properties(version: u8, properties: &[u8]) -> Vec<u8> {
    match version {
        5 => [&variable_byte_integer(properties.len())[..], properties].concat(),
        _ => Vec::new(),
    }
}

/// The parts of a CONNECT packet; [`Connect::new`] and then fields as a test needs them.
#[derive(Clone, Debug)]
pub(crate) struct Connect<'a> {
    pub(crate) version: u8,
    pub(crate) client_id: &'a str,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) properties: Vec<u8>,
    pub(crate) login: Option<Login>,
    pub(crate) will: Option<Will<'a>>,
}

/// The will of a CONNECT packet.
#[derive(Clone, Debug)]
pub(crate) struct Will<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
}

impl<'a> Will<'a> {
    pub(crate) fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self { topic, payload, qos: 0, retain: false, properties: Vec::new() }
    }
}

impl<'a> Connect<'a> {
    /// Clean, anonymous, without keep alive and will.
    pub(crate) fn new(version: u8, client_id: &'a str) -> Self {
        let (properties, login, will) = (Vec::new(), None, None);
        Self { version, client_id, clean: true, keep_alive: 0, properties, login, will }
    }

    pub(crate) fn login(self, login: Login) -> Self {
        Self { login: Some(login), ..self }
    }

    /// Keeps the session for `seconds` after the connection (5.0).
    pub(crate) fn keep_session(self, clean: bool, seconds: u32) -> Self {
        let properties = [&[0x11], &seconds.to_be_bytes()[..]].concat();
        Self { clean, properties, ..self }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = data(if self.version == 3 { "MQIsdp" } else { "MQTT" });
        body.extend([self.version, self.flags()]);
        body.extend(self.keep_alive.to_be_bytes());
        body.extend(properties(self.version, &self.properties));
        body.extend(data(self.client_id));
        if let Some(will) = &self.will {
            body.extend(properties(self.version, &will.properties));
            body.extend(data(will.topic));
            body.extend(data(will.payload));
        }
        if let Some((user, password)) = self.login {
            body.extend(data(user));
            body.extend(data(password));
        }
        packet(CONNECT, &body)
    }

    fn flags(&self) -> u8 {
        let will = self.will.as_ref();
        let will = will.map_or(0, |will| 0x04 | will.qos << 3 | u8::from(will.retain) << 5);
        let login = if self.login.is_some() { 0xC0 } else { 0 };
        u8::from(self.clean) << 1 | will | login
    }
}

/// SUBSCRIBE to one filter.
pub(crate) fn subscribe(version: u8, id: u16, filter: &str, options: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, &[]));
    body.extend(data(filter));
    body.push(options);
    packet(SUBSCRIBE, &body)
}

/// PUBLISH with QoS 0.
pub(crate) fn publish(version: u8, topic: &str, payload: &[u8]) -> Vec<u8> {
    publish_with(version, PUBLISH, topic, None, &[], payload)
}

/// PUBLISH with everything a test may want to say about it.
pub(crate) fn publish_with(
    version: u8,
    first: u8,
    topic: &str,
    id: Option<u16>,
    with: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut body = data(topic);
    body.extend(id.map(u16::to_be_bytes).into_iter().flatten());
    body.extend(properties(version, with));
    body.extend_from_slice(payload);
    packet(first, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP that means success.
pub(crate) fn acknowledge(first: u8, id: u16) -> Vec<u8> {
    packet(first, &id.to_be_bytes())
}

// ── reading what came ──────────────────────────────────────────────────────────────────────────

/// A PUBLISH, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) qos: u8,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) id: Option<u16>,
    pub(crate) topic: String,
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The reason code of a CONNACK (second byte), DISCONNECT or AUTH (first byte).
    pub(crate) fn reason(&self) -> u8 {
        let at = usize::from(self.first == CONNACK);
        self.body.get(at).copied().unwrap_or(0)
    }

    /// The packet identifier of an acknowledgement, and its reason code.
    pub(crate) fn acknowledged(&self) -> (u16, u8) {
        let id = u16::from_be_bytes([self.body[0], self.body[1]]);
        (id, self.body.get(2).copied().unwrap_or(0))
    }

    /// The parts of a PUBLISH.
    pub(crate) fn publish(&self, version: u8) -> Received {
        assert_eq!(self.first & 0xF0, PUBLISH, "{self:?}");
        let qos = self.first >> 1 & 3;
        let mut rest = self.body.as_slice();
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let topic = String::from_utf8(rest[2..2 + length].to_vec()).expect("UTF-8");
        rest = &rest[2 + length..];
        let id = (qos > 0).then(|| u16::from_be_bytes([rest[0], rest[1]]));
        rest = &rest[if qos > 0 { 2 } else { 0 }..];
        let mut properties = Vec::new();
        if version == 5 {
            let length = usize::from(rest[0]);
            assert!(length < 128, "more properties than this reader takes");
            properties.extend_from_slice(&rest[1..=length]);
            rest = &rest[1 + length..];
        }
        let (dup, retain) = (self.first & 8 != 0, self.first & 1 != 0);
        Received { qos, dup, retain, id, topic, properties, payload: rest.to_vec() }
    }
}
