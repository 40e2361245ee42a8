"""Shows envelopes to the reference as a vector says, and answers what it makes of them."""

from __future__ import annotations

from typing import Any

from .keys import Key, State
from .opening import Check, Opener
from .refusal import Refused
from .scene import unhexed
from .signing import PublicKey

Answer = tuple[str, bytes | None]


def answers(vector: dict[str, Any]) -> list[Answer]:
    """For each step, `ok` or the name of the refusal; and the payload, where it is opened."""
    opener = opener_of(vector)
    steps = vector.get("steps", [{}])
    return [answer(opener, {**vector, **step}) for step in steps]


def opener_of(vector: dict[str, Any]) -> Opener:
    """An opener with the keys that a vector gives it, and nothing seen yet."""
    key = key_of(vector)
    listed = vector.get("signers", {}).items()
    keys = {name: PublicKey(each["algorithm"], bytes.fromhex(each["public_key"])) for name, each in listed}
    return Opener({key.key_id: key}, keys)


def key_of(vector: dict[str, Any]) -> Key:
    key_id, topics, state = bytes.fromhex(vector["key_id"]), tuple(vector["topics"]), State(vector["state"])
    if vector.get("mac_root") is not None:
        return Key.of_mac_root(key_id, bytes.fromhex(vector["mac_root"]), topics, state)
    return Key.of_topic_key(key_id, bytes.fromhex(vector["topic_key"]), topics, state)


def answer(opener: Opener, step: dict[str, Any]) -> Answer:
    """Opens with a topic key, and verifies without."""
    check = Check(
        topic=step["topic"],
        now_ms=step["now_ms"],
        sender=step["sender"],
        max_age_ms=step["max_age_ms"],
        max_skew_ms=step["max_skew_ms"],
        needs_signature=step.get("needs_signature", False),
    )
    envelope = unhexed(step["envelope"])
    try:
        if step.get("mac_root") is None:
            return "ok", opener.open(envelope, check)
        opener.verify(envelope, check)
    except Refused as refused:
        return refused.refusal.value, None
    return "ok", None
