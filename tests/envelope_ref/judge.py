"""Shows envelopes to the reference as a vector says, and answers what it makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .keys import Key, State
from .opening import Check, Opener
from .refusal import Refused
from .scene import unhexed
from .signing import PublicKey, Signer
from .window import Windows

Answer = tuple[str, bytes | None]


def answers(vector: dict[str, Any]) -> list[Answer]:
    """For each step, `ok` or the name of the refusal; and the payload, where it is opened."""
    opener = opener_of(vector)
    steps = vector.get("steps", [{}])
    return [answer(opener, {**vector, **step}) for step in steps]


def opener_of(vector: dict[str, Any]) -> Opener:
    """An opener with the keys that a vector gives it, and nothing seen yet."""
    key = key_of(vector)
    keys = {name: _public_key(each) for name, each in vector.get("signers", {}).items()}
    return Opener({key.key_id: key}, keys, Windows(**vector.get("limits", {})))


def _public_key(listed: dict[str, Any]) -> PublicKey:
    if "private_key" in listed:
        return Signer(listed["algorithm"], bytes.fromhex(listed["private_key"])).public()
    return PublicKey(listed["algorithm"], bytes.fromhex(listed["public_key"]))


def key_of(vector: dict[str, Any]) -> Key:
    key_id, topics, state = bytes.fromhex(vector["key_id"]), tuple(vector["topics"]), State(vector["state"])
    if "mac_root" in vector:
        key = Key.of_mac_root(key_id, bytes.fromhex(vector["mac_root"]), topics, state)
    else:
        key = Key.of_topic_key(key_id, bytes.fromhex(vector["topic_key"]), topics, state)
    return replace(key, not_after_ms=vector.get("not_after_ms"))


def answer(opener: Opener, step: dict[str, Any]) -> Answer:
    """Opens where it is told to or has a topic key, and verifies otherwise."""
    check = Check(
        topic=step["topic"],
        now_ms=step["now_ms"],
        sender=step["sender"],
        max_age_ms=step["max_age_ms"],
        max_skew_ms=step["max_skew_ms"],
        needs_signature=step.get("needs_signature", False),
        encrypted_only=step.get("encrypted_only", False),
    )
    envelope = unhexed(step["envelope"])
    try:
        if step.get("open", "topic_key" in step):
            return "ok", opener.open(envelope, check)
        opener.verify(envelope, check)
    except Refused as refused:
        return refused.refusal.value, None
    return "ok", None
