"""Verifying and opening envelopes: the checks, in their order."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .keys import Key, State, stream_key
from .refusal import Refusal, Refused
from .sealing import context, nonce
from .signing import PublicKey
from .window import Seen, Windows
from .wire import Envelope, Suite, parse

MAX_AGE_MS = 5 * 60 * 1000
MAX_SKEW_MS = 60 * 1000


@dataclass(frozen=True)
class Check:
    """What a message is judged by, beside its envelope."""

    topic: str
    now_ms: int
    # Who is connected, where the verifier knows.
    sender: str | None = None
    # None where any age will do.
    max_age_ms: int | None = MAX_AGE_MS
    max_skew_ms: int = MAX_SKEW_MS
    needs_signature: bool = False
    encrypted_only: bool = False


class Opener:
    """Verifies envelopes, and opens them where it has their topic key."""

    def __init__(
        self,
        keys: Mapping[bytes, Key],
        signers: Mapping[str, PublicKey] | None = None,
        windows: Windows | None = None,
    ) -> None:
        self._keys = keys
        self._signers = signers or {}
        self._windows = windows or Windows()

    def verify(self, raw: bytes, check: Check) -> Envelope:
        """Checks an envelope, and remembers that it has come."""
        envelope, _ = self._checked(raw, check)
        self._remember(envelope, check)
        return envelope

    def open(self, raw: bytes, check: Check) -> bytes:
        """Checks an envelope, remembers that it has come, and gives its payload."""
        envelope, key = self._checked(raw, check)
        payload = _decrypted(envelope, key, check.topic)
        self._remember(envelope, check)
        return payload

    def _checked(self, raw: bytes, check: Check) -> tuple[Envelope, Key]:
        envelope = parse(raw)
        key = self._key_of(envelope, check.topic)
        if check.sender is not None and envelope.sender != check.sender:
            raise Refused(Refusal.SENDER_MISMATCH, f"{check.sender} sends as {envelope.sender}")
        mac_key = stream_key(key.mac_root, envelope.sender, envelope.stream)
        tag = hmac.digest(mac_key, context(check.topic) + envelope.tagged, "sha256")
        if not hmac.compare_digest(tag, envelope.tag):
            raise Refused(Refusal.BAD_TAG, "not by this key, for this topic, or changed since")
        if check.encrypted_only and envelope.suite is not Suite.AES_256_GCM:
            raise Refused(Refusal.NOT_ENCRYPTED, f"suite {envelope.suite}")
        _check_time(envelope.time_ms, key, check)
        self._check_window(envelope)
        self._check_signature(envelope, check)
        return envelope, key

    def _key_of(self, envelope: Envelope, topic: str) -> Key:
        key = self._keys.get(envelope.key_id)
        if key is None:
            raise Refused(Refusal.UNKNOWN_KEY, envelope.key_id.hex())
        if not key.is_for(topic):
            raise Refused(Refusal.WRONG_TOPIC, f"{envelope.key_id.hex()} is not meant for {topic}")
        if key.state is State.REVOKED:
            raise Refused(Refusal.REVOKED_KEY, envelope.key_id.hex())
        return key

    def _check_window(self, envelope: Envelope) -> None:
        window = self._windows.get(_stream_name(envelope))
        if window is None:
            if envelope.time_ms <= self._windows.floor_ms:
                raise Refused(Refusal.EXPIRED, "not newer than a stream that is forgotten")
            return
        seen = window.look(envelope.seq, envelope.tag, envelope.time_ms)
        if seen is Seen.REUSED:
            raise Refused(Refusal.STREAM_REUSED, f"number {envelope.seq} was of another envelope")
        if seen is Seen.REPLAYED:
            raise Refused(Refusal.REPLAYED, f"number {envelope.seq} has come before, or is too old to tell")

    def _check_signature(self, envelope: Envelope, check: Check) -> None:
        if envelope.signature is None:
            if check.needs_signature:
                raise Refused(Refusal.BAD_SIGNATURE, "there is none, and one is asked for")
            return
        algorithm, signature = envelope.signature
        signer = self._signers.get(envelope.sender)
        if signer is None and not check.needs_signature:
            return
        if signer is None or signer.algorithm != algorithm:
            raise Refused(Refusal.BAD_SIGNATURE, f"no key of {envelope.sender} for algorithm {algorithm}")
        if not signer.has_signed(context(check.topic) + envelope.signed, signature):
            raise Refused(Refusal.BAD_SIGNATURE, f"not by {envelope.sender}")

    def _remember(self, envelope: Envelope, check: Check) -> None:
        window = self._windows.open(_stream_name(envelope), check.now_ms)
        if window is None:
            raise Refused(Refusal.TOO_MANY_STREAMS, envelope.sender)
        fresh_until_ms = None if check.max_age_ms is None else envelope.time_ms + check.max_age_ms
        window.accept(envelope.seq, envelope.tag, envelope.time_ms, fresh_until_ms)


def _check_time(time_ms: int, key: Key, check: Check) -> None:
    if key.not_after_ms is not None and time_ms > key.not_after_ms:
        raise Refused(Refusal.EXPIRED_KEY, f"{time_ms - key.not_after_ms} ms after its last")
    if check.max_age_ms is None:
        return
    if check.now_ms - time_ms > check.max_age_ms:
        raise Refused(Refusal.EXPIRED, f"{check.now_ms - time_ms} ms old")
    if time_ms - check.now_ms > check.max_skew_ms:
        raise Refused(Refusal.FROM_FUTURE, f"{time_ms - check.now_ms} ms ahead")


def _decrypted(envelope: Envelope, key: Key, topic: str) -> bytes:
    if envelope.suite is Suite.HMAC_ONLY:
        return envelope.body
    if key.enc_root is None:
        raise Refused(Refusal.VERIFY_ONLY_KEY, envelope.key_id.hex())
    cipher = AESGCM(stream_key(key.enc_root, envelope.sender, envelope.stream))
    try:
        return cipher.decrypt(nonce(envelope.seq), envelope.body, context(topic) + envelope.before_body)
    except InvalidTag:
        raise Refused(Refusal.DECRYPT_FAILED, "tagged by a key that could not seal") from None


def _stream_name(envelope: Envelope) -> tuple[bytes, str, bytes]:
    return envelope.key_id, envelope.sender, envelope.stream
