"""Vectors of envelopes that are refused for what they say, and of two faults at once: the first check names it."""

from __future__ import annotations

import hmac

from .good_vectors import TRACEPARENT
from .scene import (
    ED25519_SIGNER, Fields, KEY_ID, MAX_AGE_MS, MAX_SKEW_MS, NOW_MS, P256_SIGNER, SENDER, STREAM, TOPIC, TOPIC_KEY, Vector,
    crafted, drawn, fields, fields_of_suite_1, flipped, joined, key, named, seal, signers, tagged, vector, verify_only,
)
from .sealing import context
from .signing import Signer
from .wire import HEADER, Suite, Type

WHOLE = seal()
OTHER_KEY_ID = drawn("other key id", 8)
OTHER_TOPIC_KEY = drawn("other topic key", 32)
EXPIRED_MS = NOW_MS - MAX_AGE_MS - 1
FUTURE_MS = NOW_MS + MAX_SKEW_MS + 1
REVOKED: Vector = {"state": "revoked"}


def vectors() -> list[Vector]:
    return [*_keys(), *_senders(), *_tags(), *_suites(), *_times(), *_signatures(), *_ciphertexts(), *_two_at_once()]


def _keys() -> list[Vector]:
    return [
        vector("a key that the ring does not have", "unknown_key", WHOLE, key_id=OTHER_KEY_ID.hex()),
        vector("a revoked key", "revoked_key", WHOLE, **REVOKED),
        vector("a key for other topics", "wrong_topic", WHOLE, topics=["plant/line2/#"]),
        vector("a key for the topic above", "wrong_topic", WHOLE, topics=["plant/line1"]),
        vector("a key for topics below", "wrong_topic", WHOLE, topics=[TOPIC + "/+"]),
        vector("a key for topics of another depth", "wrong_topic", WHOLE, topics=["plant/+"]),
        vector("a key for no topic", "wrong_topic", WHOLE, topics=[]),
        vector("a key for # where the topic begins with $", "wrong_topic", seal(topic="$SYS/plant"),
               topic="$SYS/plant", topics=["#", "+/plant"]),
    ]


def _senders() -> list[Vector]:
    return [
        vector("somebody else is connected", "sender_mismatch", WHOLE, sender="press-8"),
        vector("a sender in other case", "sender_mismatch", WHOLE, sender="Press-7"),
        vector("a sender that begins alike", "sender_mismatch", WHOLE, sender="press-70"),
        vector("a sender of other bytes that looks alike", "sender_mismatch", seal(sender="caf\u00e9"),
               sender="cafe\u0301"),
    ]


def _tags() -> list[Vector]:
    notes = {Type.CONTENT_TYPE: b"text/plain", Type.TRACE: TRACEPARENT.encode(), 0xA0: b"private"}
    annotated = seal(notes=notes)
    changed = [
        ("a bit of the ciphertext turned", flipped(WHOLE, -36)),
        ("a bit of the HMAC turned", flipped(WHOLE, -1)),
        ("another SEQ", WHOLE.replace((1).to_bytes(8, "big"), (2).to_bytes(8, "big"), 1)),
        ("another TIME", WHOLE.replace(NOW_MS.to_bytes(8, "big"), (NOW_MS + 1).to_bytes(8, "big"), 1)),
        ("another STREAM: spliced into it", WHOLE.replace(STREAM, drawn("other stream", 16), 1)),
        ("another CONTENT_TYPE", annotated.replace(b"text/plain", b"text/xhtml", 1)),
        ("another TRACE", annotated.replace(b"00-4bf9", b"00-4bfa", 1)),
        ("another private value", annotated.replace(b"private", b"privacy", 1)),
        ("a private type taken out", annotated.replace(joined([(0xA0, b"private")]), b"", 1)),
        ("a private type put in", _with_note_put_in()),
        ("suite 1 made into suite 2", _downgraded()),
        ("sealed under another topic key of the same name", seal(sealing_key=key(KEY_ID, OTHER_TOPIC_KEY))),
        ("an HMAC by the topic key itself, not by its stream's", _tagged_by(TOPIC_KEY)),
        ("an HMAC by mac_root, not by its stream's key", _tagged_by(key().mac_root)),
        ("an HMAC over no topic", _tagged_by_stream_over(b"")),
        ("a signature taken out", _signature_taken_out()),
    ]
    swapped = seal(sealing_key=key(OTHER_KEY_ID)).replace(OTHER_KEY_ID, KEY_ID, 1)
    return [
        *named(changed, "bad_tag"),
        vector("moved to another topic of the same key", "bad_tag", WHOLE, topic="plant/line1/pressure"),
        vector("moved to a topic that begins alike", "bad_tag", WHOLE, topic=TOPIC + "s"),
        vector("another SENDER: in the name of who is connected", "bad_tag",
               WHOLE.replace(b"press-7", b"press-8", 1), sender="press-8"),
        vector("another KEY_ID: the same topic key under another name", "bad_tag", swapped),
    ]


def _body_of(raw: bytes) -> int:
    """Where the body begins, in an envelope without notes: behind its TIME."""
    time = NOW_MS.to_bytes(8, "big")
    return raw.index(time) + len(time)


def _with_note_put_in() -> bytes:
    body = _body_of(WHOLE)
    return WHOLE[:body] + joined([(0xA0, b"private")]) + WHOLE[body:]


def _downgraded() -> bytes:
    body = _body_of(WHOLE)
    suite = len(HEADER) + 3
    return WHOLE[:suite] + bytes([Suite.HMAC_ONLY]) + WHOLE[suite + 1 : body] + bytes([Type.PLAINTEXT]) + WHOLE[body + 1 :]


def _tagged_by(mac_key: bytes) -> bytes:
    before = HEADER + joined(fields())
    return before + joined([(Type.HMAC, hmac.digest(mac_key, context(TOPIC) + before, "sha256"))])


def _tagged_by_stream_over(topic: bytes) -> bytes:
    return tagged(HEADER + joined(fields()), topic.decode())


def _signature_taken_out() -> bytes:
    signed = seal(signer=ED25519_SIGNER)
    return signed[: -35 - 68] + signed[-35:]


def _suites() -> list[Vector]:
    plain, only = seal(suite=Suite.HMAC_ONLY), {"encrypted_only": True}
    return [
        vector("suite 2 where only what is encrypted is taken", "not_encrypted", plain, **only),
        verify_only(vector("suite 2 where a verifier takes only what is encrypted", "not_encrypted", plain, **only)),
    ]


def _times() -> list[Vector]:
    return [
        vector("sealed a millisecond after the last moment of its key", "expired_key", WHOLE, not_after_ms=NOW_MS - 1),
        vector("sealed after the last moment of its key, where age is not asked for", "expired_key", WHOLE,
               not_after_ms=NOW_MS - 1, max_age_ms=None),
        vector("a millisecond too old", "expired", seal(time_ms=EXPIRED_MS)),
        vector("TIME 0", "expired", seal(time_ms=0)),
        vector("a millisecond too far ahead", "from_future", seal(time_ms=FUTURE_MS)),
        vector("the last TIME there is", "from_future", seal(time_ms=2**64 - 1)),
        vector("older than an age of 0", "expired", seal(time_ms=NOW_MS - 1), max_age_ms=0, max_skew_ms=0),
        vector("ahead by more than a skew of 0", "from_future", seal(time_ms=NOW_MS + 1), max_age_ms=0, max_skew_ms=0),
        vector("TIME ahead of a clock that begins", "from_future", seal(time_ms=MAX_SKEW_MS + 1), now_ms=0),
    ]


def _signed(topic: str, signer: Signer, turned: int | None = None, tlvs: Fields | None = None) -> bytes:
    """An envelope whose signature is over `topic` and may have a bit turned, and whose HMAC is right."""
    before = HEADER + joined(tlvs or fields())
    signature = signer.sign(context(topic) + before)
    if turned is not None:
        signature = flipped(signature, turned)
    return tagged(before + joined([(Type.SIGNATURE, bytes([signer.algorithm]) + signature)]))


def _with_signature(value: bytes) -> bytes:
    return crafted([*fields(), (Type.SIGNATURE, value)])


def _signatures() -> list[Vector]:
    ed25519, p256 = signers({SENDER: ED25519_SIGNER}), signers({SENDER: P256_SIGNER})
    stranger = signers({SENDER: Signer(ED25519_SIGNER.algorithm, drawn("stranger", 32))})
    somebody_else = signers({"press-8": ED25519_SIGNER})
    bad = "bad_signature"
    return [
        vector("a bit of an Ed25519 signature turned", bad, _signed(TOPIC, ED25519_SIGNER, 0), **ed25519),
        vector("a bit of an ECDSA signature turned", bad, _signed(TOPIC, P256_SIGNER, -1), **p256),
        vector("an Ed25519 signature of zeros", bad, _with_signature(b"\x01" + bytes(64)), **ed25519),
        vector("an ECDSA signature of zeros", bad, _with_signature(b"\x02" + bytes(64)), **p256),
        vector("an ECDSA signature of ones", bad, _with_signature(b"\x02" + b"\xff" * 64), **p256),
        vector("a signature for another topic", bad, _signed("plant/line1/pressure", ED25519_SIGNER), **ed25519),
        vector("a signature by another key", bad, _signed(TOPIC, ED25519_SIGNER), **stranger),
        vector("a signature that is asked for, by a sender whose key the verifier does not have", bad,
               _signed(TOPIC, ED25519_SIGNER), needs_signature=True, **somebody_else),
        vector("a signature that is asked for, where the verifier has no keys", bad, _signed(TOPIC, P256_SIGNER),
               needs_signature=True),
        vector("Ed25519 where the sender's key is of P-256", bad, _signed(TOPIC, ED25519_SIGNER), **p256),
        vector("ECDSA where the sender's key is of Ed25519", bad, _signed(TOPIC, P256_SIGNER), **ed25519),
        vector("no signature where one is asked for", bad, WHOLE, needs_signature=True, **ed25519),
    ]


def _forged_ciphertext() -> Fields:
    """What the holder of a verify-only key can make: the HMAC is right, the ciphertext is not."""
    sealed = fields_of_suite_1()
    return [*sealed[:-1], (Type.CIPHERTEXT, flipped(sealed[-1][1], 0))]


def _ciphertexts() -> list[Vector]:
    forged = crafted(_forged_ciphertext())
    return [
        vector("a ciphertext by who has the verify-only key alone", "decrypt_failed", forged),
        vector("a tag of GCM alone, by who has the verify-only key alone", "decrypt_failed",
               crafted([*fields_of_suite_1()[:-1], (Type.CIPHERTEXT, bytes(16))])),
        verify_only(vector("the same ciphertext, where it is only verified", "ok", forged)),
        verify_only(vector("a verify-only key that is asked to open", "verify_only_key", WHOLE, open=True)),
    ]


def _two_at_once() -> list[Vector]:
    foreign = seal(sealing_key=key(KEY_ID, OTHER_TOPIC_KEY))
    late_foreign = seal(sealing_key=key(KEY_ID, OTHER_TOPIC_KEY), time_ms=EXPIRED_MS)
    unsigned_late = seal(time_ms=EXPIRED_MS)
    asked: Vector = {"needs_signature": True}
    other_ring: Vector = {"key_id": OTHER_KEY_ID.hex()}
    elsewhere: Vector = {"topics": ["elsewhere/#"]}
    stranger: Vector = {"sender": "press-8"}
    forged_signed = _signed("elsewhere", ED25519_SIGNER, tlvs=_forged_ciphertext())
    return [
        vector("malformed, and somebody else is connected", "malformed", WHOLE + b"\x00", **stranger),
        vector("malformed, and of a revoked key", "malformed", WHOLE[:-1], **REVOKED),
        vector("of an unknown key, and for another topic", "unknown_key", WHOLE, **other_ring, **elsewhere),
        vector("of an unknown key, and by somebody else", "unknown_key", WHOLE, **other_ring, **stranger),
        vector("of an unknown key, and changed", "unknown_key", flipped(WHOLE, -1), **other_ring),
        vector("of a revoked key, and for another topic", "wrong_topic", WHOLE, **REVOKED, **elsewhere),
        vector("for another topic, and by somebody else", "wrong_topic", WHOLE, **elsewhere, **stranger),
        vector("of a revoked key, and by somebody else", "revoked_key", WHOLE, **REVOKED, **stranger),
        vector("of a revoked key, and changed", "revoked_key", flipped(WHOLE, -1), **REVOKED),
        vector("of a revoked key, and too old", "revoked_key", unsigned_late, **REVOKED),
        vector("by somebody else, and changed", "sender_mismatch", flipped(WHOLE, -1), **stranger),
        vector("by somebody else, and too old", "sender_mismatch", unsigned_late, **stranger),
        vector("changed, and too old", "bad_tag", flipped(unsigned_late, -1)),
        vector("by another key, and too old", "bad_tag", late_foreign),
        vector("by another key, and without the signature asked for", "bad_tag", foreign, **asked),
        vector("too old, and without the signature asked for", "expired", unsigned_late, **asked),
        vector("too far ahead, and without the signature asked for", "from_future", seal(time_ms=FUTURE_MS), **asked),
        vector("too old, and its ciphertext forged", "expired", crafted(_forged_ciphertext()),
               now_ms=NOW_MS + MAX_AGE_MS + 1),
        vector("changed, and not encrypted", "bad_tag", flipped(seal(suite=Suite.HMAC_ONLY), -1), encrypted_only=True),
        vector("not encrypted, and too old", "not_encrypted", seal(suite=Suite.HMAC_ONLY, time_ms=EXPIRED_MS),
               encrypted_only=True),
        vector("after the last moment of its key, and too far ahead", "expired_key", seal(time_ms=FUTURE_MS),
               not_after_ms=NOW_MS),
        vector("after the last moment of its key, and too old", "expired_key", unsigned_late, not_after_ms=0),
        verify_only(vector("without the signature asked for, and the key can only verify", "bad_signature", WHOLE,
                           open=True, **asked)),
        vector("its signature bad, and its ciphertext forged", "bad_signature", forged_signed,
               **signers({SENDER: ED25519_SIGNER})),
        vector("without the signature asked for, and its ciphertext forged", "bad_signature",
               crafted(_forged_ciphertext()), **asked),
    ]
