"""Seals and opens BastionMQ envelopes: one file to take along, on the `cryptography` package alone.

It encrypts always, checks no signatures, and keeps its replay windows in memory. The format has more:
see docs/envelope-format.md.
"""

import hmac
import secrets
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER = b"\xba\x57\x01\x00"
SUITE, KEY_ID, SENDER, STREAM, SEQ, TIME = range(1, 7)
CIPHERTEXT, PLAINTEXT, SIGNATURE, HMAC = 0x10, 0x11, 0x20, 0x7F
CONTENT_TYPE, TRACE = 0x80, 0x81
AES_256_GCM = b"\x01"
LENGTHS = {SUITE: 1, KEY_ID: 8, STREAM: 16, SEQ: 8, TIME: 8, HMAC: 32}
PLACES = {CIPHERTEXT: 0x100, PLAINTEXT: 0x100, SIGNATURE: 0x101, HMAC: 0x102}
WINDOW = 1024
MOST_STREAMS = 64


class Refused(Exception):
    """An envelope is refused; the text is the name of the reason, such as `bad_tag`."""


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────

def hkdf(key, info):
    return HKDF(SHA256(), 32, salt=None, info=info).derive(key)


class Key:
    """A topic key, as `bastionmq keys export` prints it."""

    def __init__(self, key_id, topic_key, topics):
        self.id, self.topics = bytes.fromhex(key_id), topics
        self.enc_root = hkdf(bytes.fromhex(topic_key), b"bmq1 enc" + self.id)
        self.mac_root = hkdf(bytes.fromhex(topic_key), b"bmq1 mac" + self.id)

    def of_stream(self, sender, stream):
        """The two keys of one sender's stream."""
        info = bytes([len(sender)]) + sender + stream
        return AESGCM(hkdf(self.enc_root, info)), hkdf(self.mac_root, info)

    def is_for(self, topic):
        return any(matches(pattern, topic) for pattern in self.topics)


def matches(pattern, topic):
    """Whether a topic filter of MQTT matches a topic."""
    wanted, levels = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("#", "+"):
        return False
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(levels) or level not in ("+", levels[at]):
            return False
    return len(wanted) == len(levels)


def context(topic):
    return b"BMQ1" + struct.pack(">H", len(topic.encode())) + topic.encode()


def nonce(seq):
    return struct.pack(">4xQ", seq)


def now_ms():
    return time.time_ns() // 1_000_000


# ── sealing ──────────────────────────────────────────────────────────────────────────────────────

def tlv(kind, value):
    if len(value) < 0xFFFF:
        return struct.pack(">BH", kind, len(value)) + value
    return struct.pack(">BHI", kind, 0xFFFF, len(value)) + value


class Sealer:
    """One stream of one sender. Make a new one whenever the program starts: it draws its own stream."""

    def __init__(self, key, sender):
        self.key, self.sender = key, sender.encode()
        self.stream, self.seq = secrets.token_bytes(16), 0
        self.cipher, self.mac_key = key.of_stream(self.sender, self.stream)

    def seal(self, topic, payload, time_ms=None):
        self.seq += 1
        head = HEADER + b"".join((
            tlv(SUITE, AES_256_GCM),
            tlv(KEY_ID, self.key.id),
            tlv(SENDER, self.sender),
            tlv(STREAM, self.stream),
            tlv(SEQ, struct.pack(">Q", self.seq)),
            tlv(TIME, struct.pack(">Q", now_ms() if time_ms is None else time_ms)),
        ))
        ciphertext = self.cipher.encrypt(nonce(self.seq), payload, context(topic) + head)
        sealed = head + tlv(CIPHERTEXT, ciphertext)
        return sealed + tlv(HMAC, hmac.digest(self.mac_key, context(topic) + sealed, "sha256"))


# ── opening ──────────────────────────────────────────────────────────────────────────────────────

def parse(raw):
    """The fields by type, each with where it begins and its value; strictly."""
    fields, last, at = {}, 0, len(HEADER)
    if not raw.startswith(HEADER):
        raise Refused("malformed")
    try:
        while at < len(raw):
            start, (kind, length) = at, struct.unpack_from(">BH", raw, at)
            at += 3
            if length == 0xFFFF:
                (length,) = struct.unpack_from(">I", raw, at)
                at += 4
                if kind not in (CIPHERTEXT, PLAINTEXT) or length < 0xFFFF:
                    raise ValueError("an extended length")
            place = PLACES.get(kind, kind)
            if place <= last or TIME < place < 0x80 or length > len(raw) - at:
                raise ValueError("twice, out of order, unknown or cut off")
            fields[kind], last, at = (start, raw[at : at + length]), place, at + length
        check_values({kind: value for kind, (_, value) in fields.items()})
    except (ValueError, KeyError, IndexError, struct.error):
        raise Refused("malformed") from None
    return fields


def check_values(values):
    """Raises a ValueError or KeyError where a value is missing, or none that its type may have."""
    for text in (values[SENDER], values.get(CONTENT_TYPE, b"")):
        text.decode()
    body = values[CIPHERTEXT] if values[SUITE] == AES_256_GCM else values[PLAINTEXT] + bytes(16)
    signature = values.get(SIGNATURE, b"\x01" + bytes(64))
    fine = (
        all(len(values[kind]) == length for kind, length in LENGTHS.items())
        and values[SUITE] in (b"\x01", b"\x02")
        and 1 <= len(values[SENDER]) <= 128
        and values[SEQ] != bytes(8)
        and all(0x20 <= byte <= 0x7E for byte in values.get(TRACE, b""))
        and len(body) >= 16
        and len(signature) == 65 and signature[0] in (1, 2)
    )
    if not fine:
        raise ValueError("a value")


class Window:
    """The newest number of a stream that was accepted, and which of the 1,024 before it were."""

    def __init__(self):
        self.newest, self.seen, self.last_sent = 0, 0, 0

    def is_replay(self, seq):
        age = self.newest - seq
        return age >= WINDOW or (age >= 0 and self.seen >> age & 1 == 1)

    def accept(self, seq):
        ahead = max(0, seq - self.newest)
        self.newest += ahead
        self.seen = (self.seen << min(ahead, WINDOW) | 1 << self.newest - seq) % 2**WINDOW


class Opener:
    """Opens what others have sealed, each envelope once."""

    def __init__(self, keys, max_age_ms=300_000, max_skew_ms=60_000):
        self.keys = {key.id: key for key in keys}
        self.max_age_ms, self.max_skew_ms = max_age_ms, max_skew_ms
        self.windows, self.floor = {}, -1

    def open(self, topic, raw, sender=None, now=None):
        """The payload. `sender`: whom alone to believe."""
        fields = parse(raw)
        key_id, name, stream, seq, sent = (fields[kind][1] for kind in (KEY_ID, SENDER, STREAM, SEQ, TIME))
        seq, sent = int.from_bytes(seq, "big"), int.from_bytes(sent, "big")
        key = self.keys.get(key_id)
        if key is None:
            raise Refused("unknown_key")
        if not key.is_for(topic):
            raise Refused("wrong_topic")
        if sender is not None and name != sender.encode():
            raise Refused("sender_mismatch")
        cipher, mac_key = key.of_stream(name, stream)
        (tag_start, tag) = fields[HMAC]
        if not hmac.compare_digest(tag, hmac.digest(mac_key, context(topic) + raw[:tag_start], "sha256")):
            raise Refused("bad_tag")
        if CIPHERTEXT not in fields:
            raise Refused("not_encrypted")
        now = now_ms() if now is None else now
        if now - sent > self.max_age_ms:
            raise Refused("expired")
        if sent - now > self.max_skew_ms:
            raise Refused("from_future")
        window = self.windows.get((key_id, name, stream)) or self.new_window(sent, now)
        if window.is_replay(seq):
            raise Refused("replayed")
        (body_start, ciphertext) = fields[CIPHERTEXT]
        try:
            payload = cipher.decrypt(nonce(seq), ciphertext, context(topic) + raw[:body_start])
        except InvalidTag:
            raise Refused("decrypt_failed") from None
        window.accept(seq)
        window.last_sent = max(window.last_sent, sent)
        self.windows[key_id, name, stream] = window
        return payload

    def new_window(self, sent, now):
        """A window for one more stream. Those that the clock has outlived make room for it; what was
        forgotten cannot come again, even where the clock is set back: an unknown stream has to be newer."""
        if len(self.windows) >= MOST_STREAMS:
            outlived = [name for name, kept in self.windows.items() if now - kept.last_sent > self.max_age_ms]
            for name in outlived:
                self.floor = max(self.floor, self.windows.pop(name).last_sent)
        if sent <= self.floor:
            raise Refused("expired")
        if len(self.windows) >= MOST_STREAMS:
            raise Refused("too_many_streams")
        return Window()
