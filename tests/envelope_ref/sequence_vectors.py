"""Vectors of several envelopes that one verifier is shown in turn: its replay windows."""

from __future__ import annotations

from typing import Any

from .refused_vectors import OTHER_KEY_ID
from .scene import (
    ED25519_SIGNER, MAX_AGE_MS, MAX_SKEW_MS, NOW_MS, PAYLOAD, SENDER, Vector, crafted, drawn, fields,
    fields_of_suite_1, flipped, hexed, replaced, scene, seal, signers,
)
from .wire import Suite, Type

LAST = 2**64 - 1
KEPT_MS = MAX_AGE_MS + MAX_SKEW_MS


def vectors() -> list[Vector]:
    return [*_windows(), *_streams(), *_what_is_refused_leaves_no_trace(), *_clock(), *_two_at_once()]


def _step(expect: str, envelope: bytes, **others: Any) -> Vector:
    opened = {"payload": hexed(PAYLOAD)} if expect == "ok" else {}
    return {"envelope": hexed(envelope), "expect": expect, **opened, **others}


def _numbers(name: str, *steps: tuple[int, str]) -> Vector:
    """Envelopes of one stream, by their sequence numbers."""
    return {**scene(name), "steps": [_step(expect, seal(seq=seq, suite=Suite.HMAC_ONLY)) for seq, expect in steps]}


def _steps(name: str, *steps: Vector, **others: Any) -> Vector:
    return {**scene(name), **others, "steps": list(steps)}


def _windows() -> list[Vector]:
    old = "replayed"
    every_other = [(seq, "ok") for seq in range(2, 40, 2)]
    between = [(seq, "ok") for seq in range(1, 40, 2)]
    again = [(seq, old) for seq in range(1, 39)]
    return [
        _numbers("in order", *((seq, "ok") for seq in range(1, 9))),
        _numbers("the same one twice", (1, "ok"), (1, old)),
        _numbers("the same one again, later", (1, "ok"), (2, "ok"), (3, "ok"), (1, old), (2, old), (3, old)),
        _numbers("out of order", (3, "ok"), (1, "ok"), (2, "ok"), (1, old), (4, "ok")),
        _numbers("every other one, then those between, then all again", *every_other, *between, *again),
        _numbers("a stream that is joined late", (1_000_000, "ok"), (999_999, "ok"), (1_000_000, old)),
        _numbers("1,023 behind the newest is the last that the window has", (2_000, "ok"), (977, "ok"), (977, old)),
        _numbers("1,024 behind the newest is left of the window", (2_000, "ok"), (976, old), (1, old)),
        _numbers("the window moves by one", (1_024, "ok"), (1, "ok"), (1_025, "ok"), (1, old), (2, "ok"), (2, old)),
        _numbers("the window moves by one block of 64", (1, "ok"), (64, "ok"), (1_088, "ok"), (64, old), (65, "ok")),
        _numbers("the window moves by its own width", (5, "ok"), (1_029, "ok"), (5, old), (6, "ok"), (1_029, old)),
        _numbers("the window moves by more than its width, and holds nothing of before",
                 *((seq, "ok") for seq in range(1, 9)), (10_000, "ok"), (8, old), (9_000, "ok"), (8_977, "ok"), (8_976, old)),
        _numbers("numbers a window's width apart are not taken for each other",
                 (7, "ok"), (7 + 1_024, "ok"), (7 + 2_048, "ok"), (7 + 1_025, "ok"), (7 + 1_024, old)),
        _numbers("up to the last number", (LAST - 1, "ok"), (LAST, "ok"), (LAST, old), (LAST - 1, old),
                 (LAST - 1_023, "ok"), (LAST - 1_024, old), (1, old)),
        _numbers("from the first number to the last", (1, "ok"), (LAST, "ok"), (1, old)),
    ]


def _streams() -> list[Vector]:
    other_stream = seal(stream=drawn("other stream", 16))
    other_sender = seal(sender="press-8")
    later = seal(stream=_stream(1), time_ms=NOW_MS + MAX_AGE_MS)
    other_topic = seal(topic="plant/line1/pressure")
    return [
        _steps("each stream has a window of its own", _step("ok", seal()), _step("ok", other_stream),
               _step("replayed", seal()), _step("replayed", other_stream)),
        _steps("each sender has a window of its own, though streams be named alike", _step("ok", seal()),
               _step("ok", other_sender, sender="press-8"), _step("replayed", other_sender, sender="press-8")),
        _steps("a window is for all topics of its stream", _step("ok", seal()),
               _step("stream_reused", other_topic, topic="plant/line1/pressure")),
        _steps("two devices with one stream: the second is found out", _step("ok", seal(payload=PAYLOAD)),
               _step("stream_reused", seal(payload=b"by its clone")), _step("replayed", seal())),
        _steps("a clone that seals later is found out by its clock, however old the number",
               *(_step("ok", seal(seq=seq, suite=Suite.HMAC_ONLY)) for seq in range(1, 67)),
               _step("stream_reused", seal(seq=1, time_ms=NOW_MS + 1, suite=Suite.HMAC_ONLY)),
               _step("replayed", seal(seq=1, suite=Suite.HMAC_ONLY))),
        _steps("a stream too many of one sender", *(_step("ok", seal(stream=_stream(number))) for number in range(3)),
               _step("too_many_streams", seal(stream=_stream(3))), _step("replayed", seal(stream=_stream(1))),
               _step("ok", seal(sender="press-8"), sender="press-8"), limits={"most": 8, "most_of_sender": 3}),
        _steps("a stream too many of all senders", _step("ok", seal()), _step("ok", seal(sender="a"), sender="a"),
               _step("too_many_streams", seal(sender="b"), sender="b"), limits={"most": 2, "most_of_sender": 2}),
        _steps("a stream that the clock has outlived makes room, and does not come back",
               _step("ok", seal()), _step("too_many_streams", later, now_ms=NOW_MS + MAX_AGE_MS),
               _step("ok", later, now_ms=NOW_MS + MAX_AGE_MS + 1), _step("expired", seal()),
               limits={"most": 1, "most_of_sender": 1}),
        _steps("a replay under another topic is another envelope", _step("ok", seal()),
               _step("bad_tag", seal(), topic="plant/line1/pressure")),
    ]


def _stream(number: int) -> bytes:
    return drawn(f"stream {number}", 16)


def _what_is_refused_leaves_no_trace() -> list[Vector]:
    ahead, now = seal(seq=5_000), seal()
    unsigned, signed = seal(suite=Suite.HMAC_ONLY), seal(suite=Suite.HMAC_ONLY, signer=ED25519_SIGNER)
    return [
        _steps("a forged one does not move the window", _step("bad_tag", flipped(ahead, -1)), _step("ok", now)),
        _steps("one by somebody else does not move the window", _step("sender_mismatch", ahead, sender="press-8"),
               _step("ok", now)),
        _steps("one that is too old does not move the window", _step("expired", ahead, now_ms=NOW_MS + MAX_AGE_MS + 1),
               _step("ok", now), _step("ok", ahead)),
        _steps("one that is too far ahead may come again when its time has come",
               _step("from_future", seal(time_ms=NOW_MS + MAX_SKEW_MS + 1)),
               _step("ok", seal(time_ms=NOW_MS + MAX_SKEW_MS + 1), now_ms=NOW_MS + 1)),
        _steps("one without the signature asked for does not take the number of the true one",
               _step("bad_signature", unsigned), _step("ok", signed), _step("replayed", signed),
               needs_signature=True, **signers({SENDER: ED25519_SIGNER})),
        _steps("one that does not decrypt does not take the number of the true one",
               _step("decrypt_failed", _forged()), _step("ok", now), _step("replayed", now)),
        _steps("one of an unknown key does not move the window",
               _step("unknown_key", crafted(replaced(fields(), Type.KEY_ID, OTHER_KEY_ID))), _step("ok", now)),
    ]


def _clock() -> list[Vector]:
    ahead = seal(time_ms=NOW_MS + MAX_SKEW_MS)
    return [
        _steps("a replay at the last moment that its time allows", _step("ok", seal()),
               _step("replayed", seal(), now_ms=NOW_MS + MAX_AGE_MS),
               _step("expired", seal(), now_ms=NOW_MS + MAX_AGE_MS + 1)),
        _steps("a window is kept as long as the clock would take a message of a fast clock", _step("ok", ahead),
               _step("replayed", ahead, now_ms=NOW_MS + KEPT_MS), _step("expired", ahead, now_ms=NOW_MS + KEPT_MS + 1)),
        _steps("the verifier's clock goes back", _step("ok", seal()), _step("replayed", seal(), now_ms=NOW_MS - 1),
               _step("ok", seal(seq=2), now_ms=NOW_MS - 1)),
        _steps("a subscriber that takes any age still takes nothing twice", _step("ok", seal(time_ms=0)),
               _step("replayed", seal(time_ms=0), now_ms=NOW_MS * 2), max_age_ms=None, sender=None),
    ]


def _two_at_once() -> list[Vector]:
    late = NOW_MS + MAX_AGE_MS + 1
    signed = seal(signer=ED25519_SIGNER, suite=Suite.HMAC_ONLY)
    return [
        _steps("replayed, and too old", _step("ok", seal()), _step("expired", seal(), now_ms=late)),
        _steps("replayed, and changed", _step("ok", seal()), _step("bad_tag", flipped(seal(), -1))),
        _steps("replayed, and by somebody else", _step("ok", seal()), _step("sender_mismatch", seal(), sender="press-8")),
        _steps("its number reused, and without the signature asked for", _step("ok", signed),
               _step("stream_reused", seal(suite=Suite.HMAC_ONLY)),
               needs_signature=True, **signers({SENDER: ED25519_SIGNER})),
        _steps("its number reused, and its ciphertext forged", _step("ok", seal()), _step("stream_reused", _forged())),
        _steps("replayed, and without the signature asked for", _step("ok", seal()),
               _step("replayed", seal(), needs_signature=True)),
        _steps("a replay of what only a verifier takes, where it is to be opened", _step("ok", _forged(), open=False),
               _step("replayed", _forged())),
    ]


def _forged() -> bytes:
    sealed = fields_of_suite_1()
    return crafted([*sealed[:-1], (Type.CIPHERTEXT, bytes(16))])
