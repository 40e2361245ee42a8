"""Vectors of envelopes whose form is wrong. But for that they are right: each has the HMAC that belongs there."""

from __future__ import annotations

from .scene import (
    PAYLOAD, SENDER, Vector, crafted, fields, fields_of_suite_1, hexed, joined, named, replaced, seal, tagged, vector,
    without,
)
from .wire import HEADER, Suite, Type, encode

WHOLE = seal()
BODY = (Type.PLAINTEXT, PAYLOAD)


def vectors() -> list[Vector]:
    parts = (_headers(), _truncated(), _missing(), _order(), _values(), _bodies(), _lengths(), _signatures())
    return [vector for part in parts for vector in named(part, "malformed")] + [_unknown_to_a_stranger()]


def _headers() -> list[tuple[str, bytes]]:
    rest = joined(fields())
    return [
        ("nothing", b""),
        ("a plain payload", PAYLOAD),
        ("no magic", tagged(b"\xba\x58\x01\x00" + rest)),
        ("version 2", tagged(b"\xba\x57\x02\x00" + rest)),
        ("version 0", tagged(b"\xba\x57\x00\x00" + rest)),
        ("a reserved byte that is not 0", tagged(b"\xba\x57\x01\x01" + rest)),
        ("half a header", HEADER[:2]),
        ("a header alone", HEADER),
    ]


def _truncated() -> list[tuple[str, bytes]]:
    return [
        ("ends within the HMAC", WHOLE[:-1]),
        ("ends before the HMAC", WHOLE[:-35]),
        ("ends within a length", WHOLE[: len(HEADER) + 2]),
        ("ends after a type", WHOLE[: len(HEADER) + 1]),
        ("a byte after the HMAC", WHOLE + b"\x00"),
        ("a second HMAC", WHOLE + encode(Type.HMAC, bytes(32))),
        ("a private type after the HMAC", WHOLE + encode(0xA0, b"late")),
        ("two envelopes in one", WHOLE + WHOLE),
    ]


def _missing() -> list[tuple[str, bytes]]:
    required = (Type.SUITE, Type.KEY_ID, Type.SENDER, Type.STREAM, Type.SEQ, Type.TIME)
    lacking = [(f"no {kind.name}", crafted(without(fields(), kind))) for kind in required]
    return [
        *lacking,
        ("no body", crafted(fields()[:-1])),
        ("no HMAC", HEADER + joined(fields())),
        ("an HMAC alone", crafted([])),
    ]


def _order() -> list[tuple[str, bytes]]:
    head, notes = fields()[:-1], [(0x90, b"one"), (0xA0, b"two")]
    swapped = [head[0], head[2], head[1], *head[3:], BODY]
    return [
        *[(f"{Type(kind).name} twice", crafted(_doubled(kind))) for kind, _ in fields()],
        ("SENDER before KEY_ID", crafted(swapped)),
        ("TIME before SEQ", crafted([*head[:4], head[5], head[4], BODY])),
        ("a private type before the required ones", crafted([notes[0], *fields()])),
        ("a private type between the required ones", crafted([*head[:3], notes[0], *head[3:], BODY])),
        ("a private type after the body", crafted([*fields(), notes[0]])),
        ("private types in descending order", crafted([*head, notes[1], notes[0], BODY])),
        ("a private type twice", crafted([*head, notes[0], notes[0], BODY])),
        ("CONTENT_TYPE twice", crafted([*head, (0x80, b"a"), (0x80, b"a"), BODY])),
        ("TRACE before CONTENT_TYPE", crafted([*head, (0x81, b"00-"), (0x80, b"text/plain"), BODY])),
        ("a private type before CONTENT_TYPE", crafted([*head, notes[0], (0x80, b"text/plain"), BODY])),
        ("a body before the TIME", crafted([*head[:5], BODY, head[5]])),
        ("critical type 0x00", crafted([(0x00, b""), *fields()])),
        ("critical type 0x07", crafted([*head, (0x07, b"new"), BODY])),
        ("critical type 0x12 after the body", crafted([*fields(), (0x12, b"new")])),
        ("critical type 0x7E before the HMAC", crafted([*fields(), (0x7E, b"new")])),
    ]


def _doubled(kind: int) -> list[tuple[int, bytes]]:
    return [tlv for tlv in fields() for _ in range(2 if tlv[0] == kind else 1)]


def _values() -> list[tuple[str, bytes]]:
    wrong: list[tuple[str, int, bytes]] = [
        ("SUITE 0", Type.SUITE, b"\x00"),
        ("SUITE 3", Type.SUITE, b"\x03"),
        ("SUITE of 0 bytes", Type.SUITE, b""),
        ("SUITE of 2 bytes", Type.SUITE, b"\x00\x02"),
        ("KEY_ID of 7 bytes", Type.KEY_ID, bytes(7)),
        ("KEY_ID of 9 bytes", Type.KEY_ID, bytes(9)),
        ("STREAM of 15 bytes", Type.STREAM, bytes(15)),
        ("STREAM of 17 bytes", Type.STREAM, bytes(17)),
        ("SEQ of 7 bytes", Type.SEQ, b"\0\0\0\0\0\0\1"),
        ("SEQ of 9 bytes", Type.SEQ, b"\0\0\0\0\0\0\0\0\1"),
        ("SEQ 0", Type.SEQ, bytes(8)),
        ("TIME of 4 bytes", Type.TIME, bytes(4)),
        ("TIME of 9 bytes", Type.TIME, bytes(9)),
    ]
    senders: list[tuple[str, bytes]] = [
        ("SENDER of 0 bytes", b""),
        ("SENDER of 129 bytes", b"s" * 129),
        ("SENDER of 256 bytes", b"s" * 256),
        ("SENDER that is not UTF-8", b"press-\xff"),
        ("SENDER with half a character", b"press-\xe6\xb8"),
        ("SENDER with a surrogate", b"press-\xed\xa0\x80"),
        ("SENDER in an overlong spelling", b"press-\xc0\xaf"),
    ]
    head = fields()[:-1]
    return [
        *[(name, crafted(replaced(fields(), kind, value))) for name, kind, value in wrong],
        *[(name, crafted(replaced(fields(), Type.SENDER, value))) for name, value in senders],
        ("CONTENT_TYPE that is not UTF-8", crafted([*head, (0x80, b"\xff"), BODY])),
        ("TRACE with a line end", crafted([*head, (0x81, b"00-\n"), BODY])),
        ("TRACE with a DEL", crafted([*head, (0x81, b"00-\x7f"), BODY])),
        ("TRACE that is not ASCII", crafted([*head, (0x81, "00-\u00e9".encode()), BODY])),
        ("HMAC of 31 bytes", HEADER + joined(fields()) + encode(Type.HMAC, bytes(31))),
        ("HMAC of 33 bytes", HEADER + joined(fields()) + encode(Type.HMAC, bytes(33))),
    ]


def _bodies() -> list[tuple[str, bytes]]:
    sealed = fields_of_suite_1()
    as_plain = [*sealed[:-1], (Type.PLAINTEXT, sealed[-1][1])]
    return [
        ("suite 1 with a PLAINTEXT", crafted(as_plain)),
        ("suite 2 with a CIPHERTEXT", crafted(replaced(sealed, Type.SUITE, bytes([Suite.HMAC_ONLY])))),
        ("suite 1 with both bodies", crafted([*sealed, BODY])),
        ("suite 2 with both bodies", crafted([*fields()[:-1], (Type.CIPHERTEXT, bytes(16)), BODY])),
        ("CIPHERTEXT of 15 bytes, shorter than its tag", crafted(replaced(sealed, Type.CIPHERTEXT, bytes(15)))),
        ("CIPHERTEXT of 0 bytes", crafted(replaced(sealed, Type.CIPHERTEXT, b""))),
    ]


def _lengths() -> list[tuple[str, bytes]]:
    head = HEADER + joined(fields()[:-1])
    body, private = bytes([Type.PLAINTEXT]), bytes([0xA0])
    long = b"\x5a" * 65_535
    return [
        ("an extended length of 3", tagged(head + body + b"\xff\xff\x00\x00\x00\x03abc")),
        ("an extended length of 0", tagged(head + body + b"\xff\xff\x00\x00\x00\x00")),
        ("an extended length of 65,534", tagged(head + body + b"\xff\xff\x00\x00\xff\xfe" + long[1:])),
        ("an extended length that says 65,535 where 65,534 follow", head + body + b"\xff\xff\x00\x00\xff\xff" + long[1:]),
        ("an extended length of half its bytes", head + body + b"\xff\xff\x00\x01"),
        ("an extended length of 4 GiB", head + body + b"\xff\xff\xff\xff\xff\xff" + PAYLOAD),
        ("a private type with an extended length",
         tagged(head + private + b"\xff\xff\x00\x00\xff\xff" + long + joined([BODY]))),
        ("SENDER with an extended length of 7", _sender_with_extended_length()),
        ("a length that reaches into the HMAC", _body_with_length(len(PAYLOAD) + 1)),
        ("a length that ends before the value does", _body_with_length(len(PAYLOAD) - 1)),
        ("a length that swallows the HMAC", _body_with_length(len(PAYLOAD) + 35)),
    ]


def _sender_with_extended_length() -> bytes:
    head, tail = fields()[:2], fields()[3:]
    sender = bytes([Type.SENDER]) + b"\xff\xff\x00\x00\x00\x07" + SENDER.encode()
    return tagged(HEADER + joined(head) + sender + joined(tail))


def _body_with_length(length: int) -> bytes:
    body = bytes([Type.PLAINTEXT]) + length.to_bytes(2, "big") + PAYLOAD
    return tagged(HEADER + joined(fields()[:-1]) + body)


def _signatures() -> list[tuple[str, bytes]]:
    head, signature = fields()[:-1], (Type.SIGNATURE, b"\x01" + bytes(64))
    return [
        ("SIGNATURE of 0 bytes", crafted([*fields(), (Type.SIGNATURE, b"")])),
        ("Ed25519 of 63 bytes", crafted([*fields(), (Type.SIGNATURE, b"\x01" + bytes(63))])),
        ("Ed25519 of 65 bytes", crafted([*fields(), (Type.SIGNATURE, b"\x01" + bytes(65))])),
        ("ECDSA of 70 bytes, as DER has them", crafted([*fields(), (Type.SIGNATURE, b"\x02" + bytes(70))])),
        ("signature algorithm 0", crafted([*fields(), (Type.SIGNATURE, b"\x00" + bytes(64))])),
        ("signature algorithm 3, which is only kept", crafted([*fields(), (Type.SIGNATURE, b"\x03" + bytes(3_309))])),
        ("signature algorithm 255", crafted([*fields(), (Type.SIGNATURE, b"\xff")])),
        ("SIGNATURE before the body", crafted([*head, signature, BODY])),
        ("SIGNATURE twice", crafted([*fields(), signature, signature])),
    ]


def _unknown_to_a_stranger() -> Vector:
    """The first check comes before the second, whoever asks."""
    broken = crafted(replaced(fields(), Type.SUITE, b"\x03"))
    return vector("malformed, and of an unknown key", "malformed", broken, key_id=hexed(bytes(8)))
