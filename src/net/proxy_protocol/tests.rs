//! Tests of the parser: every kind of header, every cut, every bound.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;

/// From 192.0.2.1:56789 to 198.51.100.2:8883.
const OVER_IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xDD, 0xD5, 0x22, 0xB3];

fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind][..], &length, value].concat()
}

/// A header from 192.0.2.1:56789 with these parts behind the addresses.
fn with_parts(parts: &[Vec<u8>]) -> Vec<u8> {
    binary(PROXY, TCP4, &[&OVER_IPV4[..], &parts.concat()].concat())
}

fn tls(client: u8, verify: u32, parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(TLV_SSL, &[&[client][..], &verify.to_be_bytes(), &parts.concat()].concat())
}

/// Fills in the checksum, whose TLV is at the end.
fn signed(mut header: Vec<u8>) -> Vec<u8> {
    let at = header.len() - 4;
    let sum = crc32c(&header, at..at + 4);
    header[at..].copy_from_slice(&sum.to_be_bytes());
    header
}

/// What a whole header says. What follows it makes no difference, nor does where it is cut.
fn read(bytes: &[u8]) -> Result<Header<'_>, HeaderError> {
    for cut in 0..bytes.len() {
        match parse(&bytes[..cut]) {
            Ok(Progress::Partial) => {}
            Ok(whole) => panic!("whole after {cut} of {}: {whole:?}", bytes.len()),
            Err(error) => {
                assert_eq!(parse(bytes), Err(error), "after {cut}");
                return Err(error);
            }
        }
    }
    let followed = [bytes, &[0xA5; 200]].concat();
    let again = parse(&followed);
    match parse(bytes)? {
        Progress::Partial => panic!("{bytes:02x?} is no whole header"),
        Progress::Whole { header, length } => {
            assert_eq!(length, bytes.len());
            assert_eq!(again, Ok(Progress::Whole { header, length }));
            Ok(header)
        }
    }
}

fn source(bytes: &[u8]) -> Result<Option<String>, HeaderError> {
    read(bytes).map(|header| header.source.map(|address| address.to_string()))
}

fn from(address: &str) -> Result<Option<String>, HeaderError> {
    Ok(Some(address.to_owned()))
}

#[test]
fn a_line_names_its_source() {
    for (line, address) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 56789 8883\r\n", "192.0.2.1:56789"),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0"),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "[2001:db8::1]:1"),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1:1"),
    ] {
        assert_eq!(source(line.as_bytes()), from(address), "{line}");
    }
}

#[test]
fn a_line_may_say_that_nothing_is_known() {
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), 107);
    for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN anything\r\n", longest] {
        assert_eq!(read(line.as_bytes()), Ok(Header::default()), "{line}");
    }
    assert_eq!(read(b"PROXY UNKNOWN \xFF\0\n\r\r\n"), Ok(Header::default()));
}

#[test]
fn a_line_that_breaks_the_form_is_refused() {
    for line in [
        "PROXY \r\n",
        "PROXY UNKNOWN2\r\n",
        "PROXY unknown\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 ::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 [::1] [::2] 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
    ] {
        assert_eq!(source(line.as_bytes()), Err(HeaderError::Line), "{line:?}");
    }
    assert_eq!(read(b"PROXY TCP4 \xFF.0.2.1 192.0.2.2 1 2\r\n"), Err(HeaderError::Line));
}

#[test]
fn a_line_ends_within_107_bytes() {
    let line = |length: usize| [&b"PROXY UNKNOWN "[..], &vec![b'x'; length - 14]].concat();
    assert_eq!(parse(&line(106)), Ok(Progress::Partial));
    assert_eq!(parse(&line(107)), Err(HeaderError::Line));
    assert_eq!(parse(&[&line(106)[..], b"\r\n"].concat()), Err(HeaderError::Line));
    assert_eq!(read(&[&line(105)[..], b"\r\n"].concat()), Ok(Header::default()));
}

#[test]
fn what_begins_otherwise_is_refused_at_once() {
    for bytes in [
        &b"\x10\x0C\0\x04MQTT"[..],
        b"\x16\x03\x01",
        b"GET /mqtt HTTP/1.1\r\n",
        b"PUT",
        b"PROXYv1",
        b"proxy UNKNOWN\r\n",
        b" PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\0",
    ] {
        assert_eq!(read(bytes), Err(HeaderError::NoHeader), "{bytes:02x?}");
    }
    assert_eq!(parse(b""), Ok(Progress::Partial));
    assert_eq!(parse(b"P"), Ok(Progress::Partial));
    assert_eq!(parse(b"\r"), Ok(Progress::Partial));
}

#[test]
fn a_binary_header_names_its_source() {
    assert_eq!(source(&binary(PROXY, TCP4, &OVER_IPV4)), from("192.0.2.1:56789"));
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let over_ipv6 = |from: &str| {
        let body = [&ip(from)[..], &ip("2001:db8::2"), &[0, 1, 0, 2]].concat();
        binary(PROXY, TCP6, &body)
    };
    assert_eq!(source(&over_ipv6("2001:db8::1")), from("[2001:db8::1]:1"));
    assert_eq!(source(&over_ipv6("::ffff:192.0.2.1")), from("192.0.2.1:1"));
}

#[test]
fn a_binary_header_may_name_none() {
    assert_eq!(read(&binary(PROXY, 0x00, &[])), Ok(Header::default()));
    assert_eq!(read(&binary(PROXY, UNIX, &[b'/'; 216])), Ok(Header::default()));
    assert_eq!(read(&binary(LOCAL, 0x00, &[])), Ok(Header::default()));
}

#[test]
fn what_a_proxy_says_for_itself_does_not_count() {
    let name = tlv(TLV_SSL_COMMON_NAME, b"device");
    let parts = tls(CLIENT_SSL | CLIENT_CERT, 0, &[name]);
    let body = [&OVER_IPV4[..], &parts].concat();
    assert_eq!(read(&binary(LOCAL, TCP4, &body)), Ok(Header::default()));
    // Not even whether it makes sense.
    assert_eq!(read(&binary(LOCAL, 0xFF, b"rubbish")), Ok(Header::default()));
}

#[test]
fn other_versions_commands_and_families_are_refused() {
    for first in [0x01, 0x11, 0x31, 0xF1] {
        assert_eq!(read(&binary(first, TCP4, &OVER_IPV4)), Err(HeaderError::Version));
    }
    for command in [0x22, 0x2F] {
        assert_eq!(read(&binary(command, TCP4, &OVER_IPV4)), Err(HeaderError::Command));
    }
    let known = [0x00, TCP4, TCP6, UNIX];
    for family in (0..=0xFF).filter(|family| !known.contains(family)) {
        assert_eq!(read(&binary(PROXY, family, &[0; 216])), Err(HeaderError::Family));
    }
}

#[test]
fn addresses_do_not_reach_beyond_the_end() {
    for (family, length) in [(TCP4, 12), (TCP6, 36), (UNIX, 216)] {
        for short in 0..length {
            let header = binary(PROXY, family, &vec![1; short]);
            assert_eq!(read(&header), Err(HeaderError::Truncated), "{family:02x} {short}");
            // Nor are they completed by what follows the header.
            let followed = [&header[..], &[1; 300]].concat();
            assert_eq!(parse(&followed), Err(HeaderError::Truncated), "{family:02x} {short}");
        }
        assert!(read(&binary(PROXY, family, &vec![1; length])).is_ok(), "{family:02x}");
    }
}

#[test]
fn parts_do_not_reach_beyond_the_end() {
    for parts in [&[0xEA][..], &[0xEA, 0], &[0xEA, 0, 1], &[0xEA, 0, 2, 7], &[4, 0, 0, 4]] {
        let header = with_parts(&[parts.to_vec()]);
        assert_eq!(read(&header), Err(HeaderError::Truncated), "{parts:02x?}");
        let followed = [&header[..], &[0; 300]].concat();
        assert_eq!(parse(&followed), Err(HeaderError::Truncated), "{parts:02x?}");
    }
    for of_tls in
        [&[][..], &[7], &[7, 0, 0, 0], &[7, 0, 0, 0, 0, 0x22], &[7, 0, 0, 0, 0, 0x22, 0, 1]]
    {
        let header = with_parts(&[tlv(TLV_SSL, of_tls), tlv(4, &[0; 9])]);
        assert_eq!(read(&header), Err(HeaderError::Truncated), "{of_tls:02x?}");
    }
}

#[test]
fn unknown_parts_are_passed_over() {
    let parts = [tlv(0x01, b"h2"), tlv(0x04, &[]), tlv(0xEA, &[1; 300]), tlv(0x05, b"id")];
    assert_eq!(source(&with_parts(&parts)), from("192.0.2.1:56789"));
}

#[test]
fn a_header_is_of_at_most_4096_bytes() {
    let body = |length: usize| {
        let rest = length - FIXED - OVER_IPV4.len() - 3;
        [&OVER_IPV4[..], &tlv(0x04, &vec![0; rest])].concat()
    };
    assert_eq!(source(&binary(PROXY, TCP4, &body(4_096))), from("192.0.2.1:56789"));
    let too_long = binary(PROXY, TCP4, &body(4_097));
    assert_eq!(parse(&too_long[..FIXED]), Err(HeaderError::TooLong));
    assert_eq!(parse(&binary(LOCAL, 0, &[0; 4_081])[..FIXED]), Err(HeaderError::TooLong));
}

#[test]
fn a_checksum_that_is_there_must_be_right() {
    let header = signed(with_parts(&[tlv(0x04, b"padding"), tlv(TLV_CRC32C, &[0; 4])]));
    assert_eq!(source(&header), from("192.0.2.1:56789"));
    for at in FIXED..header.len() {
        for bit in 0..8 {
            let mut wrong = header.clone();
            wrong[at] ^= 1 << bit;
            // A length that is wrong, or a checksum that is none any more, is found out before.
            if let Ok(read) = parse(&wrong) {
                let tlv = header.len() - 7;
                let is_not_its_own = (tlv..tlv + 3).contains(&at) || (28..31).contains(&at);
                assert!(is_not_its_own, "bit {bit} of byte {at}: {read:?}");
            }
        }
    }
}

#[test]
fn a_checksum_may_stand_anywhere() {
    let mut header = with_parts(&[tlv(TLV_CRC32C, &[0; 4]), tlv(0x04, b"padding")]);
    let at = FIXED + OVER_IPV4.len() + 3;
    let sum = crc32c(&header, at..at + 4);
    header[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(source(&header), from("192.0.2.1:56789"));
    header[at] ^= 1;
    assert_eq!(read(&header), Err(HeaderError::Checksum));
}

#[test]
fn a_checksum_has_four_bytes_and_stands_once() {
    for length in [0, 3, 5] {
        let header = with_parts(&[tlv(TLV_CRC32C, &vec![0; length])]);
        assert_eq!(read(&header), Err(HeaderError::Checksum), "{length}");
    }
    let twice = signed(with_parts(&[tlv(TLV_CRC32C, &[0; 4]), tlv(TLV_CRC32C, &[0; 4])]));
    assert_eq!(read(&twice), Err(HeaderError::Twice));
}

#[test]
fn a_name_counts_where_a_certificate_was_shown_and_verified() {
    let name = || tlv(TLV_SSL_COMMON_NAME, b"device");
    let said = |client, verify| {
        let header = with_parts(&[tls(client, verify, &[tlv(0x21, b"TLSv1.3"), name()])]);
        read(&header).unwrap().common_name.map(<[u8]>::to_vec)
    };
    for client in 0..=0xFF {
        let is_believed = client & 1 != 0 && client & 6 != 0;
        assert_eq!(said(client, 0), is_believed.then(|| b"device".to_vec()), "{client:02x}");
        for verify in [1, 0x0100, 0x01_0000, 0x0100_0000, u32::MAX] {
            assert_eq!(said(client, verify), None, "{client:02x} {verify:08x}");
        }
    }
    let without = with_parts(&[tls(7, 0, &[tlv(0x21, b"TLSv1.3")])]);
    assert_eq!(read(&without).unwrap().common_name, None);
    // Outside of the part about TLS it is none.
    let outside = with_parts(&[tls(7, 0, &[]), name()]);
    assert_eq!(read(&outside).unwrap().common_name, None);
}

#[test]
fn two_names_or_two_certificates_are_none() {
    let name = |name: &str| tlv(TLV_SSL_COMMON_NAME, name.as_bytes());
    let names = with_parts(&[tls(7, 0, &[name("a"), name("b")])]);
    assert_eq!(read(&names), Err(HeaderError::Twice));
    let certificates = with_parts(&[tls(7, 0, &[name("a")]), tls(7, 0, &[name("b")])]);
    assert_eq!(read(&certificates), Err(HeaderError::Twice));
}

proptest! {
    #[test]
    fn r16_no_bytes_whatever_are_read_beyond_the_header(
        start in prop_oneof![
            Just(Vec::new()),
            Just(b"PROXY ".to_vec()),
            Just(b"PROXY TCP4 1.1.1.1 ".to_vec()),
            Just(SIGNATURE.to_vec()),
            (any::<u8>(), 0..64_u16, any::<bool>()).prop_map(|(family, length, is_known)| {
                let family = if is_known { TCP4 } else { family };
                let [high, low] = length.to_be_bytes();
                [&SIGNATURE[..], &[PROXY, family, high, low]].concat()
            }),
        ],
        rest in prop::collection::vec(any::<u8>(), 0..80),
        behind in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let bytes = [start, rest].concat();
        if let Ok(Progress::Whole { header, length }) = parse(&bytes) {
            prop_assert!(length <= bytes.len());
            let other = [&bytes[..length], &behind].concat();
            prop_assert_eq!(parse(&other), Ok(Progress::Whole { header, length }));
            for cut in 0..length {
                prop_assert_eq!(parse(&bytes[..cut]), Ok(Progress::Partial));
            }
        }
    }

    #[test]
    fn every_source_is_read_as_it_was_written(address: SocketAddr, name in "[a-z]{1,30}") {
        let line = match address {
            SocketAddr::V4(v4) => format!("PROXY TCP4 {} 1.1.1.1 {} 1\r\n", v4.ip(), v4.port()),
            SocketAddr::V6(v6) => format!("PROXY TCP6 {} ::1 {} 1\r\n", v6.ip(), v6.port()),
        };
        let seen = SocketAddr::new(address.ip().to_canonical(), address.port());
        prop_assert_eq!(read(line.as_bytes()).unwrap().source, Some(seen));
        let (family, body) = match address {
            SocketAddr::V4(v4) => {
                (TCP4, [&v4.ip().octets()[..], &[0; 4], &v4.port().to_be_bytes(), &[0; 2]].concat())
            }
            SocketAddr::V6(v6) => {
                (TCP6, [&v6.ip().octets()[..], &[0; 16], &v6.port().to_be_bytes(), &[0; 2]].concat())
            }
        };
        let parts = tls(7, 0, &[tlv(TLV_SSL_COMMON_NAME, name.as_bytes())]);
        let header = binary(PROXY, family, &[body, parts].concat());
        let header = read(&header).unwrap();
        prop_assert_eq!(header.source, Some(seen));
        prop_assert_eq!(header.common_name, Some(name.as_bytes()));
    }
}
