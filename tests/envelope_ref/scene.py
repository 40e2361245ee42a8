"""Who sends what in the test vectors, and the means to make envelopes with a single fault."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .keys import Key, State, hkdf, stream_key
from .sealing import Sealer, context, nonce
from .signing import ECDSA_P256, ED25519, Signer
from .wire import HEADER, Suite, Type, encode

Vector = dict[str, Any]
Fields = list[tuple[int, bytes]]


def drawn(what: str, size: int) -> bytes:
    """Bytes that look random and are the same each time."""
    return hashlib.shake_128(b"envelope vectors: " + what.encode()).digest(size)


TOPIC = "plant/line1/temperature"
TOPICS = ["plant/#"]
SENDER = "press-7"
NOW_MS = 1_790_000_000_000
MAX_AGE_MS = 300_000
MAX_SKEW_MS = 60_000
KEY_ID = drawn("key id", 8)
TOPIC_KEY = drawn("topic key", 32)
STREAM = drawn("stream", 16)
PAYLOAD = b'{"celsius":21.5}'
ED25519_SIGNER = Signer(ED25519, drawn("ed25519", 32))
P256_SIGNER = Signer(ECDSA_P256, drawn("p256", 32))
# A run shorter than this is written out.
LEAST_RUN = 1_000


def key(key_id: bytes = KEY_ID, topic_key: bytes = TOPIC_KEY) -> Key:
    """The key of the scene, for all topics: what a vector's ring says is the vector's."""
    return Key.of_topic_key(key_id, topic_key, ("#", "$SYS/#"), State.ACTIVE)


def seal(
    *,
    topic: str = TOPIC,
    sender: str = SENDER,
    stream: bytes = STREAM,
    seq: int = 1,
    time_ms: int = NOW_MS,
    payload: bytes = PAYLOAD,
    suite: Suite = Suite.AES_256_GCM,
    notes: Mapping[int, bytes] | None = None,
    signer: Signer | None = None,
    sealing_key: Key | None = None,
) -> bytes:
    """An envelope as a device would make it."""
    sealer = Sealer(sealing_key or key(), sender, stream, seq)
    return sealer.seal(topic, time_ms, payload, suite, notes, signer)


def fields(body: tuple[int, bytes] | None = None) -> Fields:
    """The fields of an ordinary envelope but for its HMAC: suite 2, so that nothing stands between a
    changed field and the check that is to find it."""
    return [
        (Type.SUITE, bytes([Suite.HMAC_ONLY])),
        (Type.KEY_ID, KEY_ID),
        (Type.SENDER, SENDER.encode()),
        (Type.STREAM, STREAM),
        (Type.SEQ, (1).to_bytes(8, "big")),
        (Type.TIME, NOW_MS.to_bytes(8, "big")),
        body or (Type.PLAINTEXT, PAYLOAD),
    ]


def fields_of_suite_1() -> Fields:
    """The same, encrypted."""
    head = [(Type.SUITE, bytes([Suite.AES_256_GCM])), *fields()[1:-1]]
    root = hkdf(TOPIC_KEY, b"bmq1 enc" + KEY_ID)
    cipher = AESGCM(stream_key(root, SENDER, STREAM))
    return [*head, (Type.CIPHERTEXT, cipher.encrypt(nonce(1), PAYLOAD, context(TOPIC) + HEADER + joined(head)))]


def joined(tlvs: Fields) -> bytes:
    return b"".join(encode(kind, value) for kind, value in tlvs)


def tagged(before: bytes, topic: str = TOPIC, sender: str = SENDER, stream: bytes = STREAM) -> bytes:
    """Whatever is in `before`, with the HMAC that belongs there."""
    mac_key = stream_key(key().mac_root, sender, stream)
    return before + encode(Type.HMAC, hmac.digest(mac_key, context(topic) + before, "sha256"))


def crafted(tlvs: Fields, sender: str = SENDER) -> bytes:
    """An envelope of any fields in any order, with the HMAC that belongs there."""
    return tagged(HEADER + joined(tlvs), sender=sender)


def replaced(tlvs: Fields, kind: int, value: bytes) -> Fields:
    """The same fields, with another value of one."""
    return [(other, value if other == kind else old) for other, old in tlvs]


def without(tlvs: Fields, kind: int) -> Fields:
    return [tlv for tlv in tlvs if tlv[0] != kind]


def flipped(raw: bytes, at: int) -> bytes:
    """The same bytes with one bit turned."""
    at %= len(raw)
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def vector(name: str, expect: str, envelope: bytes, **others: Any) -> Vector:
    """A vector of the scene; `others` says where it differs."""
    return {**scene(name), "envelope": hexed(envelope), "expect": expect, **others}


def scene(name: str) -> Vector:
    """What all vectors have."""
    return {
        "name": name,
        "key_id": KEY_ID.hex(),
        "topic_key": TOPIC_KEY.hex(),
        "topics": TOPICS,
        "state": "active",
        "topic": TOPIC,
        "sender": SENDER,
        "now_ms": NOW_MS,
        "max_age_ms": MAX_AGE_MS,
        "max_skew_ms": MAX_SKEW_MS,
    }


def verify_only(vector: Vector) -> Vector:
    """The same vector, for a verifier that has no more than the verify-only key."""
    lesser = {name: value for name, value in vector.items() if name != "topic_key"}
    return {**lesser, "mac_root": key().mac_root.hex()}


def signers(names: Mapping[str, Signer]) -> Vector:
    """The public keys that a verifier has."""
    public = {name: signer.public() for name, signer in names.items()}
    listed = {name: {"algorithm": key.algorithm, "public_key": key.public.hex()} for name, key in public.items()}
    return {"signers": listed}


def hexed(value: bytes) -> str:
    """Hex digits; `5a*1000` where a byte stands a thousand times in a row."""
    parts, at = [], 0
    for run in re.finditer(rb"(?s)(.)\1{%d,}" % (LEAST_RUN - 1), value):
        parts += [value[at : run.start()].hex(), f"{run[1].hex()}*{len(run[0])}"]
        at = run.end()
    return " ".join(part for part in (*parts, value[at:].hex()) if part)


def unhexed(text: str) -> bytes:
    """What `hexed` has written."""
    return b"".join(_part(part) for part in text.split())


def _part(text: str) -> bytes:
    digits, _, times = text.partition("*")
    return bytes.fromhex(digits) * int(times or 1)


def named(many: Iterable[tuple[str, bytes]], expect: str) -> list[Vector]:
    """Vectors that differ in nothing but name and envelope."""
    return [vector(name, expect, envelope) for name, envelope in many]
