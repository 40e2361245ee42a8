"""Making envelopes."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .keys import Key, State, stream_key
from .signing import Signer
from .wire import BODY_OF, HEADER, MOST_SENDER_BYTES, Suite, Type, encode

LAST_SEQ = 2**64 - 1


class Sealer:
    """One sender's stream under one key. A stream is never taken up again: its nonces are its numbers."""

    def __init__(self, key: Key, sender: str, stream: bytes, next_seq: int = 1) -> None:
        if key.enc_root is None or key.state is not State.ACTIVE:
            raise ValueError("only an active topic key seals")
        if not 1 <= len(sender.encode()) <= MOST_SENDER_BYTES or len(stream) != 16:
            raise ValueError("a sender has 1 to 128 bytes, a stream 16")
        self._key, self._sender, self._stream, self._next_seq = key, sender, stream, next_seq
        self._enc_key = stream_key(key.enc_root, sender, stream)
        self._mac_key = stream_key(key.mac_root, sender, stream)

    def seal(
        self,
        topic: str,
        time_ms: int,
        payload: bytes,
        suite: Suite = Suite.AES_256_GCM,
        notes: Mapping[int, bytes] | None = None,
        signer: Signer | None = None,
    ) -> bytes:
        """`notes` are the non-critical fields by type: CONTENT_TYPE, TRACE, private ones."""
        if not self._key.is_for(topic):
            raise ValueError(f"the key is not meant for {topic}")
        seq, around = self._take_seq(), context(topic)
        head = self._head(suite, seq, time_ms, notes or {})
        if suite is Suite.AES_256_GCM:
            body = AESGCM(self._enc_key).encrypt(nonce(seq), payload, around + head)
        else:
            body = payload
        sealed = head + encode(BODY_OF[suite], body)
        if signer is not None:
            sealed += encode(Type.SIGNATURE, bytes([signer.algorithm]) + signer.sign(around + sealed))
        return sealed + encode(Type.HMAC, hmac.digest(self._mac_key, around + sealed, "sha256"))

    def _take_seq(self) -> int:
        seq = self._next_seq
        if seq > LAST_SEQ:
            raise OverflowError("this stream has no number left: draw another")
        self._next_seq = seq + 1
        return seq

    def _head(self, suite: Suite, seq: int, time_ms: int, notes: Mapping[int, bytes]) -> bytes:
        if any(not 0x80 <= kind <= 0xFF for kind in notes):
            raise ValueError("only non-critical fields are free")
        fields = [
            (Type.SUITE, bytes([suite])),
            (Type.KEY_ID, self._key.key_id),
            (Type.SENDER, self._sender.encode()),
            (Type.STREAM, self._stream),
            (Type.SEQ, seq.to_bytes(8, "big")),
            (Type.TIME, time_ms.to_bytes(8, "big")),
            *sorted(notes.items()),
        ]
        return HEADER + b"".join(encode(kind, value) for kind, value in fields)


def context(topic: str) -> bytes:
    """What binds an envelope to its topic."""
    name = topic.encode()
    return b"BMQ1" + len(name).to_bytes(2, "big") + name


def nonce(seq: int) -> bytes:
    return bytes(4) + seq.to_bytes(8, "big")
