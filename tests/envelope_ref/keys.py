"""Topic keys, and what is derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class State(Enum):
    """What a key may still be used for."""

    ACTIVE = "active"
    RETIRING = "retiring"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Key:
    """A key of a ring. `enc_root` is None in a verify-only key; nothing is sealed after `not_after_ms`."""

    key_id: bytes
    topics: tuple[str, ...]
    state: State
    mac_root: bytes
    enc_root: bytes | None
    not_after_ms: int | None = None

    @classmethod
    def of_topic_key(cls, key_id: bytes, topic_key: bytes, topics: tuple[str, ...], state: State) -> Key:
        """A key that can seal and open."""
        mac_root = hkdf(topic_key, b"bmq1 mac" + key_id)
        return cls(key_id, topics, state, mac_root, hkdf(topic_key, b"bmq1 enc" + key_id))

    @classmethod
    def of_mac_root(cls, key_id: bytes, mac_root: bytes, topics: tuple[str, ...], state: State) -> Key:
        """A key that can only verify."""
        return cls(key_id, topics, state, mac_root, None)

    def is_for(self, topic: str) -> bool:
        return any(matches(pattern, topic) for pattern in self.topics)


def hkdf(key: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 with an empty salt, 32 bytes of it."""
    return HKDF(SHA256(), 32, salt=None, info=info).derive(key)


def stream_key(root: bytes, sender: str, stream: bytes) -> bytes:
    """The key of one stream under `enc_root` or `mac_root`."""
    name = sender.encode()
    return hkdf(root, bytes([len(name)]) + name + stream)


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic filter matches a topic, as MQTT has it: `#` takes its parent too, and a wildcard
    in front leaves topics alone that begin with `$`."""
    wanted, levels = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("#", "+"):
        return False
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(levels) or level not in ("+", levels[at]):
            return False
    return len(wanted) == len(levels)
