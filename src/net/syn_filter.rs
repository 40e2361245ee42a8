//! Has the system drop attempts to connect before they are connections: a classic BPF program at a socket that
//! listens, which needs no privilege. Linux alone has it.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use crate::throttle::LetThrough;

/// An instruction: what to do, how many to skip if so and if not, and its operand (linux/bpf_common.h).
type Instruction = (u16, u8, u8, u32);

const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const SKIP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets are of the TCP header; from here on they are of that of IP (`SKF_NET_OFF`).
const IP_HEADER: u32 = 0xfff0_0000;
/// A number that nobody can foresee (`SKF_AD_OFF + SKF_AD_RANDOM`).
const RANDOM: u32 = 0xffff_f038;

const TCP_FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;
/// First byte of the header of IP, of which the upper half is the version.
const VERSION: u32 = 0xf0;
const IPV4: u32 = 0x40;
const IPV6: u32 = 0x60;
/// Where the address of the sender is.
const SOURCE_OF_IPV4: u32 = 12;
const SOURCE_OF_IPV6: u32 = 8;

const LET_THROUGH: Instruction = (RETURN, 0, 0, u32::MAX);
const DROP: Instruction = (RETURN, 0, 0, 0);

/// Of attempts from these networks `socket` sees only their share from now on, and of all others all; the
/// first of them that an address is in decides. Connections that are there already go on.
///
/// # Errors
/// When the system does not let it, or knows nothing of the kind: then `socket` sees all.
pub(super) fn attach(socket: impl AsFd, drops: &[LetThrough]) -> io::Result<()> {
    // The system would have to have room for what is there and what takes its place (`optmem_max`).
    detach(&socket)?;
    system::attach(socket, &program(drops))
}

/// Has `socket` see all again; nothing happens where it does.
///
/// # Errors
/// When the system does not let it.
pub(super) fn detach(socket: impl AsFd) -> io::Result<()> {
    system::detach(socket)
}

fn program(drops: &[LetThrough]) -> Vec<Instruction> {
    let of = |is_ipv4: bool| {
        let of_version = drops.iter().filter(move |drop| drop.network.is_ipv4() == is_ipv4);
        of_version.flat_map(steps).chain([LET_THROUGH])
    };
    let of_ipv4: Vec<_> = of(true).collect();
    let to_ipv6 = of_ipv4.len() as u32;
    let beginning = [
        (LOAD_BYTE, 0, 0, TCP_FLAGS),
        (AND, 0, 0, SYN | ACK),
        (IF_EQUAL, 1, 0, SYN),
        LET_THROUGH,
        (LOAD_BYTE, 0, 0, IP_HEADER),
        (AND, 0, 0, VERSION),
        (IF_EQUAL, 1, 0, IPV4),
        (SKIP, 0, 0, to_ipv6),
    ];
    let is_ipv6 = [(IF_EQUAL, 1, 0, IPV6), LET_THROUGH];
    beginning.into_iter().chain(of_ipv4).chain(is_ipv6).chain(of(false)).collect()
}

/// Decides about who is in the network, and goes on behind the last of them with whoever is not.
fn steps(drop: &LetThrough) -> Vec<Instruction> {
    let (at, words): (_, Vec<u32>) = match drop.network.address() {
        IpAddr::V4(address) => (SOURCE_OF_IPV4, vec![address.to_bits()]),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (SOURCE_OF_IPV6, [96, 64, 32, 0].map(|shift| (bits >> shift) as u32).to_vec())
        }
    };
    let length = u32::from(drop.network.length());
    let compared = words.iter().zip((0..).step_by(32)).map_while(|(word, from)| {
        let behind = 32 - length.checked_sub(from).filter(|bits| *bits > 0)?.min(32);
        Some((at + from / 8, *word, u32::MAX << behind))
    });
    let compared: Vec<_> = compared.collect();
    let decided = [
        (LOAD_WORD, 0, 0, RANDOM),
        (IF_AT_LEAST, 0, 1, (drop.share * f64::from(u32::MAX)) as u32),
        DROP,
        LET_THROUGH,
    ];
    let last = compared.len().saturating_sub(1);
    let comparisons = compared.into_iter().enumerate().flat_map(|(place, (at, word, mask))| {
        // Three steps for each word that follows, and those that decide.
        let rest = (last - place) * 3 + decided.len();
        [
            (LOAD_WORD, 0, 0, IP_HEADER.wrapping_add(at)),
            (AND, 0, 0, mask),
            (IF_EQUAL, 0, rest as u8, word),
        ]
    });
    comparisons.chain(decided).collect()
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::AsFd;

    use socket2::{SockFilter, SockRef};

    use super::Instruction;

    pub(super) fn attach(socket: impl AsFd, program: &[Instruction]) -> io::Result<()> {
        let program = program.iter().map(|&(code, then, or, k)| SockFilter::new(code, then, or, k));
        SockRef::from(&socket).attach_filter(&program.collect::<Vec<_>>())
    }

    pub(super) fn detach(socket: impl AsFd) -> io::Result<()> {
        match SockRef::from(&socket).detach_filter() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            detached => detached,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::os::fd::AsFd;

    use super::Instruction;

    pub(super) fn attach(_: impl AsFd, _: &[Instruction]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn detach(_: impl AsFd) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::os::fd::AsFd;
    use std::time::Duration;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::identity::Network;

    const NOBODY: f64 = 1.0 / 65_536.0;
    /// An attempt that is not dropped is a connection before the system call returns.
    const AT_ONCE: Duration = Duration::from_millis(50);

    fn drops(of: &[(&str, f64)]) -> Vec<LetThrough> {
        let drop = |&(network, share): &(&str, f64)| LetThrough {
            network: network.parse::<Network>().unwrap(),
            share,
        };
        of.iter().map(drop).collect()
    }

    fn listener(at: &str) -> TcpListener {
        TcpListener::bind((at.parse::<IpAddr>().unwrap(), 0)).unwrap()
    }

    fn connect(to: SocketAddr, from: &str) -> Socket {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from.parse().unwrap(), 0).into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        // It is under way.
        let _ = socket.connect(&to.into());
        socket
    }

    /// Whether one is a connection.
    fn comes_through(to: SocketAddr, from: &str) -> bool {
        let socket = connect(to, from);
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        poll(&mut polled, PollTimeout::try_from(AT_ONCE).unwrap()).unwrap();
        socket.peer_addr().is_ok()
    }

    #[test]
    fn who_is_dropped_does_not_come_through_and_everybody_else_does() {
        let listener = listener("127.0.0.1");
        let port = listener.local_addr().unwrap();
        attach(&listener, &drops(&[("127.0.0.2", NOBODY), ("127.0.7.0/24", NOBODY)])).unwrap();
        assert!(!comes_through(port, "127.0.0.2"));
        assert!(!comes_through(port, "127.0.7.1") && !comes_through(port, "127.0.7.255"));
        for other in ["127.0.0.1", "127.0.0.3", "127.0.6.255", "127.0.8.0", "127.1.0.2"] {
            assert!(comes_through(port, other), "{other}");
        }
        detach(&listener).unwrap();
        assert!(comes_through(port, "127.0.0.2"));
        detach(&listener).unwrap();
    }

    #[test]
    fn addresses_of_ipv6_are_told_apart_as_far_as_their_network_says() {
        let listener = listener("::1");
        let port = listener.local_addr().unwrap();
        for (network, is_dropped) in [
            ("::1", true),
            ("::2", false),
            ("::/64", true),
            ("::/56", true),
            ("0:0:0:1::/64", false),
            ("0:0:0:100::/56", false),
            ("1::/16", false),
            ("0.0.0.1", false),
        ] {
            attach(&listener, &drops(&[("192.0.2.1", NOBODY), (network, NOBODY)])).unwrap();
            assert_eq!(comes_through(port, "::1"), !is_dropped, "{network}");
        }
    }

    #[test]
    fn the_first_network_decides() {
        let listener = listener("127.0.0.1");
        let port = listener.local_addr().unwrap();
        let most = 1.0 - NOBODY;
        attach(&listener, &drops(&[("127.0.7.1", most), ("127.0.7.0/24", NOBODY)])).unwrap();
        assert!(comes_through(port, "127.0.7.1"));
        assert!(!comes_through(port, "127.0.7.2"));
    }

    #[test]
    fn a_share_comes_through() {
        let listener = listener("127.0.0.1");
        let port = listener.local_addr().unwrap();
        attach(&listener, &drops(&[("127.0.0.2", 0.25)])).unwrap();
        // Some are queued, none of which is accepted: 100 of 400 are fewer than 128.
        let under_way: Vec<_> = (0..400).map(|_| connect(port, "127.0.0.2")).collect();
        let come = under_way.iter().filter(|it| it.peer_addr().is_ok()).count();
        assert!((60..=140).contains(&come), "{come} of 400");
    }

    #[test]
    fn as_many_networks_as_are_ever_dropped_fit() {
        let listener = listener("::1");
        let many: Vec<_> = (1..=32).map(|bits| format!("2001:db8::{bits:x}")).collect();
        let many: Vec<_> = many.iter().map(|it| (it.as_str(), NOBODY)).collect();
        attach(&listener, &drops(&many)).unwrap();
        assert!(comes_through(listener.local_addr().unwrap(), "::1"));
    }

    #[test]
    fn as_many_networks_as_are_ever_dropped_take_the_place_of_as_many_others() {
        let listener = listener("::1");
        let port = listener.local_addr().unwrap();
        for (prefix, is_dropped) in [("2001:db8::", false), ("::", true), ("2001:db8:1::", false)] {
            let many: Vec<_> = (1..=32).map(|bits| format!("{prefix}{bits:x}")).collect();
            let many: Vec<_> = many.iter().map(|it| (it.as_str(), NOBODY)).collect();
            attach(&listener, &drops(&many)).unwrap();
            assert_eq!(comes_through(port, "::1"), !is_dropped, "{prefix}");
        }
    }

    #[test]
    fn where_the_system_does_not_take_what_is_to_be_dropped_nothing_is() {
        let listener = listener("127.0.0.1");
        let port = listener.local_addr().unwrap();
        attach(&listener, &drops(&[("127.0.0.2", NOBODY)])).unwrap();
        // More than there may be of a program.
        attach(&listener, &drops(&[("192.0.2.1", NOBODY); 1_000])).unwrap_err();
        assert!(comes_through(port, "127.0.0.2"));
    }

    #[test]
    fn connections_that_came_through_go_on_whatever_is_dropped_later() {
        use std::io::{Read, Write};
        let listener = listener("127.0.0.1");
        let port = listener.local_addr().unwrap();
        attach(&listener, &drops(&[("127.0.0.3", NOBODY)])).unwrap();
        let mut client = connect(port, "127.0.0.2");
        let (mut served, _) = listener.accept().unwrap();
        attach(&listener, &drops(&[("127.0.0.2", NOBODY)])).unwrap();
        client.write_all(b"hello").unwrap();
        let mut said = [0; 5];
        served.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"hello");
    }
}
