"""The wire format: TLVs, and a parser that takes one spelling of each envelope and no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from .refusal import Refusal, Refused

HEADER = b"\xba\x57\x01\x00"
EXTENDED = 0xFFFF
MOST_SENDER_BYTES = 128
GCM_TAG_BYTES = 16
SIGNATURE_BYTES = {1: 64, 2: 64}


class Type(IntEnum):
    """The types that version 1 gives a meaning to."""

    SUITE = 0x01
    KEY_ID = 0x02
    SENDER = 0x03
    STREAM = 0x04
    SEQ = 0x05
    TIME = 0x06
    CIPHERTEXT = 0x10
    PLAINTEXT = 0x11
    SIGNATURE = 0x20
    HMAC = 0x7F
    CONTENT_TYPE = 0x80
    TRACE = 0x81


class Suite(IntEnum):
    """How the body is protected."""

    AES_256_GCM = 1
    HMAC_ONLY = 2


BODY_OF = {Suite.AES_256_GCM: Type.CIPHERTEXT, Suite.HMAC_ONLY: Type.PLAINTEXT}
BODIES = frozenset(BODY_OF.values())
FIXED_BYTES = {Type.SUITE: 1, Type.KEY_ID: 8, Type.STREAM: 16, Type.SEQ: 8, Type.TIME: 8, Type.HMAC: 32}
CRITICAL = frozenset(kind for kind in Type if kind < 0x80)


@dataclass(frozen=True)
class Tlv:
    """One field as it stands in an envelope: `start` is where its type is, `end` where its value ends."""

    type: int
    value: bytes
    start: int
    end: int


@dataclass(frozen=True)
class Envelope:
    """An envelope whose form is right. Nothing of it is proven yet."""

    raw: bytes
    suite: Suite
    key_id: bytes
    sender: str
    stream: bytes
    seq: int
    time_ms: int
    # All non-critical fields by type, those that nobody here knows among them.
    notes: dict[int, bytes]
    body: bytes
    signature: tuple[int, bytes] | None
    tag: bytes
    before_body: bytes
    signed: bytes
    tagged: bytes


def malformed(why: str) -> Refused:
    return Refused(Refusal.MALFORMED, why)


def encode(kind: int, value: bytes) -> bytes:
    """One TLV. A body of 65,535 bytes or more has an extended length; nothing else can be that long."""
    if len(value) < EXTENDED:
        return bytes([kind]) + len(value).to_bytes(2, "big") + value
    if kind not in BODIES:
        raise ValueError(f"type {kind:#04x} cannot have {len(value)} bytes")
    return bytes([kind]) + EXTENDED.to_bytes(2, "big") + len(value).to_bytes(4, "big") + value


def parse(raw: bytes) -> Envelope:
    """Reads an envelope, and refuses whatever a sealer of this page would not have written."""
    if raw[:4] != HEADER:
        raise malformed("magic, version or reserved byte")
    tlvs = list(_tlvs(raw))
    ranks = [_rank(tlv.type) for tlv in tlvs]
    if any(left >= right for left, right in pairwise(ranks)):
        raise malformed("a field stands twice, or out of order")
    fields = {tlv.type: tlv for tlv in tlvs}
    for kind, size in FIXED_BYTES.items():
        if kind not in fields or len(fields[kind].value) != size:
            raise malformed(f"{kind.name} of {size} bytes is required")
    return _envelope(raw, fields)


def _envelope(raw: bytes, fields: dict[int, Tlv]) -> Envelope:
    suite = _suite(fields[Type.SUITE].value[0])
    body = fields.get(BODY_OF[suite])
    if body is None or (suite is Suite.AES_256_GCM and len(body.value) < GCM_TAG_BYTES):
        raise malformed(f"no body of suite {suite}")
    seq = int.from_bytes(fields[Type.SEQ].value, "big")
    if seq == 0:
        raise malformed("SEQ begins at 1")
    notes = {kind: tlv.value for kind, tlv in fields.items() if kind >= 0x80}
    _text(notes.get(Type.CONTENT_TYPE, b""), "CONTENT_TYPE")
    if not all(0x20 <= byte <= 0x7E for byte in notes.get(Type.TRACE, b"")):
        raise malformed("TRACE is not printable ASCII")
    return Envelope(
        raw=raw,
        suite=suite,
        key_id=fields[Type.KEY_ID].value,
        sender=_sender(fields.get(Type.SENDER)),
        stream=fields[Type.STREAM].value,
        seq=seq,
        time_ms=int.from_bytes(fields[Type.TIME].value, "big"),
        notes=notes,
        body=body.value,
        signature=_signature(fields.get(Type.SIGNATURE)),
        tag=fields[Type.HMAC].value,
        before_body=raw[: body.start],
        signed=raw[: body.end],
        tagged=raw[: fields[Type.HMAC].start],
    )


def _tlvs(raw: bytes) -> Iterator[Tlv]:
    at = len(HEADER)
    while at < len(raw):
        start, kind = at, raw[at]
        length, at = _number(raw, at + 1, 2)
        if length == EXTENDED:
            if kind not in BODIES:
                raise malformed(f"an extended length of type {kind:#04x}")
            length, at = _number(raw, at, 4)
            if length < EXTENDED:
                raise malformed("an extended length that has no need to be one")
        if length > len(raw) - at:
            raise malformed("ends within a value")
        yield Tlv(kind, raw[at : at + length], start, at + length)
        at += length


def _number(raw: bytes, at: int, size: int) -> tuple[int, int]:
    """A number and what follows it."""
    if size > len(raw) - at:
        raise malformed("ends within a length")
    return int.from_bytes(raw[at : at + size], "big"), at + size


def _rank(kind: int) -> int:
    """Where a type stands among the others: each has a rank of its own, but for the two bodies."""
    if kind in BODIES:
        return 0x100
    if kind == Type.SIGNATURE:
        return 0x101
    if kind == Type.HMAC:
        return 0x102
    if kind < 0x80 and kind not in CRITICAL:
        raise malformed(f"critical type {kind:#04x} is unknown")
    return kind


def _suite(number: int) -> Suite:
    try:
        return Suite(number)
    except ValueError:
        raise malformed(f"suite {number} is unknown") from None


def _sender(tlv: Tlv | None) -> str:
    if tlv is None or not 1 <= len(tlv.value) <= MOST_SENDER_BYTES:
        raise malformed(f"SENDER of 1 to {MOST_SENDER_BYTES} bytes is required")
    return _text(tlv.value, "SENDER")


def _signature(tlv: Tlv | None) -> tuple[int, bytes] | None:
    if tlv is None:
        return None
    if not tlv.value:
        raise malformed("SIGNATURE names no algorithm")
    algorithm, signature = tlv.value[0], tlv.value[1:]
    if len(signature) != SIGNATURE_BYTES.get(algorithm):
        raise malformed(f"algorithm {algorithm} is unknown, or its signatures have another length")
    return algorithm, signature


def _text(value: bytes, field: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise malformed(f"{field} is not UTF-8") from None
