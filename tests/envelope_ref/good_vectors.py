"""Vectors of envelopes that are right, each with all that it was sealed from."""

from __future__ import annotations

from typing import Any

from .scene import (
    ED25519_SIGNER, MAX_AGE_MS, MAX_SKEW_MS, NOW_MS, P256_SIGNER, PAYLOAD, SENDER, STREAM, TOPIC,
    Vector, hexed, scene, seal, signers, verify_only,
)
from .signing import Signer
from .wire import Suite, Type

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def vectors() -> list[Vector]:
    return [*_forms(), *_boundaries(), *_lengths(), *_checks(), *_signed()]


def _good(
    name: str,
    *,
    suite: Suite = Suite.AES_256_GCM,
    content_type: str | None = None,
    trace: str | None = None,
    private: dict[int, bytes] | None = None,
    payload: bytes = PAYLOAD,
    seq: int = 1,
    time_ms: int = NOW_MS,
    sender: str = SENDER,
    topic: str = TOPIC,
    signer: Signer | None = None,
    **others: Any,
) -> Vector:
    """A vector that is accepted. `others` is what the verifier has or asks for beside the scene."""
    notes = dict(private or {})
    if content_type is not None:
        notes[Type.CONTENT_TYPE] = content_type.encode()
    if trace is not None:
        notes[Type.TRACE] = trace.encode()
    envelope = seal(
        topic=topic, sender=sender, seq=seq, time_ms=time_ms, payload=payload, suite=suite, notes=notes, signer=signer
    )
    sealed_from: Vector = {
        "sealed_by": sender,
        "stream": STREAM.hex(),
        "seq": seq,
        "time_ms": time_ms,
        "suite": int(suite),
        "content_type": content_type,
        "trace": trace,
        "private": [[kind, hexed(value)] for kind, value in sorted((private or {}).items())],
    }
    if signer is not None:
        sealed_from["signer"] = {"algorithm": signer.algorithm, "private_key": signer.private.hex()}
    opened = {"envelope": hexed(envelope), "expect": "ok", "payload": hexed(payload)}
    return {**scene(name), "topic": topic, "sender": sender, **others, **opened, **sealed_from}


def _forms() -> list[Vector]:
    every: Vector = {"content_type": "application/json", "trace": TRACEPARENT, "private": {0x90: b"one", 0xEF: b"last"}}
    return [
        _good("suite 1"),
        _good("suite 2", suite=Suite.HMAC_ONLY),
        _good("suite 1 with an empty payload", payload=b""),
        _good("suite 2 with an empty payload", payload=b"", suite=Suite.HMAC_ONLY),
        _good("suite 1 with a payload of 1 KiB", payload=bytes(range(256)) * 4),
        _good("CONTENT_TYPE", content_type="application/json"),
        _good("CONTENT_TYPE that is empty", content_type=""),
        _good("CONTENT_TYPE beyond ASCII", content_type="text/plain; note=\u00b0C"),
        _good("TRACE", trace=TRACEPARENT),
        _good("the first and the last private type", private={0x90: b"one", 0xEF: b"last"}),
        _good("a private type that is empty", private={0xA0: b""}),
        _good("non-critical types that nobody knows yet", private={0x82: b"new", 0xF0: b"newer", 0xFF: b"newest"}),
        _good("every optional field, suite 1", **every),
        _good("every optional field, suite 2", suite=Suite.HMAC_ONLY, **every),
    ]


def _boundaries() -> list[Vector]:
    return [
        _good("SENDER of 1 byte", sender="a"),
        _good("SENDER of 128 bytes", sender="s" * 128),
        _good("SENDER of 128 bytes in 64 characters", sender="\u00e9" * 64),
        _good("SEQ 2", seq=2),
        _good("SEQ of 2^32 + 1", seq=2**32 + 1),
        _good("the last SEQ there is", seq=2**64 - 1),
        _good("TIME as old as may be", time_ms=NOW_MS - MAX_AGE_MS),
        _good("TIME as far ahead as may be", time_ms=NOW_MS + MAX_SKEW_MS),
        _good("TIME 0 where age is not asked for", time_ms=0, max_age_ms=None),
        _good("the last TIME there is where age is not asked for", time_ms=2**64 - 1, max_age_ms=None),
        _good("a verifier whose clock begins", time_ms=0, now_ms=0),
    ]


def _lengths() -> list[Vector]:
    plain: Vector = {"suite": Suite.HMAC_ONLY}
    return [
        _good("PLAINTEXT of 65,534 bytes, the longest with a short length", payload=b"\x5a" * 65_534, **plain),
        _good("PLAINTEXT of 65,535 bytes, the shortest with an extended length", payload=b"\x5a" * 65_535, **plain),
        _good("PLAINTEXT of 65,536 bytes", payload=b"\x5a" * 65_536, **plain),
        _good("CIPHERTEXT of 65,535 bytes, with its tag", payload=b"\x5a" * (65_535 - 16)),
        _good("a private type of 65,534 bytes", private={0xA0: b"\x5a" * 65_534}),
    ]


def _checks() -> list[Vector]:
    return [
        verify_only(_good("a verify-only key verifies suite 1")),
        verify_only(_good("a verify-only key verifies suite 2", suite=Suite.HMAC_ONLY)),
        {**verify_only(_good("a verify-only key opens suite 2", suite=Suite.HMAC_ONLY)), "open": True},
        _good("encrypted where nothing else is taken", encrypted_only=True),
        _good("sealed at the last moment of its key", not_after_ms=NOW_MS),
        _good("a retiring key opens", state="retiring"),
        {**_good("a subscriber, who does not know who is connected"), "sender": None},
        _good("a topic by its own name", topics=[TOPIC]),
        _good("a topic by the second of two filters", topics=["other", "plant/+/temperature"]),
        _good("a topic that is the parent of a filter", topic="plant", topics=["plant/#"]),
        _good("a topic beyond ASCII", topic="plant/\u6e29\u5ea6/\u00b0C"),
        _good("a topic with empty levels", topic="plant//", topics=["plant/+/+"]),
        _good("a topic that begins with $", topic="$SYS/plant", topics=["$SYS/#"]),
    ]


def _signed() -> list[Vector]:
    ed25519, p256 = signers({SENDER: ED25519_SIGNER}), signers({SENDER: P256_SIGNER})
    asked: Vector = {"needs_signature": True}
    return [
        _good("Ed25519, suite 1", signer=ED25519_SIGNER, **ed25519),
        _good("Ed25519, suite 2", signer=ED25519_SIGNER, suite=Suite.HMAC_ONLY, **ed25519),
        _good("ECDSA P-256, suite 1", signer=P256_SIGNER, **p256),
        _good("ECDSA P-256, suite 2", signer=P256_SIGNER, suite=Suite.HMAC_ONLY, **p256),
        _good("a signature that is asked for", signer=P256_SIGNER, **p256, **asked),
        _good("a signature over every optional field", signer=ED25519_SIGNER, trace=TRACEPARENT,
              content_type="text/plain", private={0x90: b"one"}, **ed25519, **asked),
        _good("no signature where none is asked for", **ed25519),
        _good("a signature where the verifier has no keys", signer=P256_SIGNER),
        _good("a signature by a sender whose key the verifier does not have", signer=ED25519_SIGNER,
              **signers({"press-8": ED25519_SIGNER})),
    ]
