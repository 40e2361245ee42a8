"""Replay windows: which sequence numbers of a stream have been accepted (RFC 6479)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

WIDTH = 1024
RECENT = 64

# KEY_ID, SENDER, STREAM.
StreamName = tuple[bytes, str, bytes]


class Seen(Enum):
    """What a window knows of an envelope."""

    NEW = "new"
    REPLAYED = "replayed"
    REUSED = "its number was seen in another envelope"


@dataclass
class Window:
    """The newest sequence number accepted, and which of the 1,024 that end with it have been."""

    newest: int = 0
    seen: int = 0
    # The HMACs of the last 64 numbers, by number modulo 64: a clone of the sender is told by them.
    tags: dict[int, bytes] = field(default_factory=dict)
    newest_time_ms: int = 0
    # Later than this the clock refuses all that was accepted; None where it never does.
    fresh_until_ms: int | None = 0

    def is_replay(self, seq: int) -> bool:
        """Whether `seq` has been accepted, or is too old to tell."""
        if seq > self.newest:
            return False
        age = self.newest - seq
        return age >= WIDTH or bool(self.seen >> age & 1)

    def look(self, seq: int, tag: bytes, time_ms: int) -> Seen:
        """What is known of an envelope. One that is newer than all before it cannot be one of them."""
        if not self.is_replay(seq):
            return Seen.NEW
        is_recent = self.newest - seq < RECENT
        other = is_recent and self.tags.get(seq % RECENT) != tag
        return Seen.REUSED if other or time_ms > self.newest_time_ms else Seen.REPLAYED

    def accept(self, seq: int, tag: bytes, time_ms: int, fresh_until_ms: int | None) -> None:
        """Remembers an envelope. The window only ever moves to the right."""
        if seq > self.newest:
            ahead = min(seq - self.newest, WIDTH)
            self.seen = self.seen << ahead & (1 << WIDTH) - 1
            self.newest = seq
        age = self.newest - seq
        self.seen |= 1 << age
        if age < RECENT:
            self.tags[seq % RECENT] = tag
        self.newest_time_ms = max(self.newest_time_ms, time_ms)
        never = fresh_until_ms is None or self.fresh_until_ms is None
        self.fresh_until_ms = None if never else max(self.fresh_until_ms or 0, fresh_until_ms or 0)

    def is_outlived(self, now_ms: int) -> bool:
        """Whether the clock refuses all that was accepted."""
        return self.fresh_until_ms is not None and self.fresh_until_ms < now_ms


@dataclass
class Windows:
    """The windows of all streams. One is forgotten where there is no room, once the clock has outlived it;
    then nothing of an unknown stream is taken that is not newer than what was forgotten."""

    most: int = 65_536
    most_of_sender: int = 16
    of_stream: dict[StreamName, Window] = field(default_factory=dict)
    floor_ms: int = -1

    def get(self, name: StreamName) -> Window | None:
        return self.of_stream.get(name)

    def open(self, name: StreamName, now_ms: int) -> Window | None:
        """The window of a stream, a new one where it has none; None where there is no room."""
        if name not in self.of_stream and not self._has_room(name[1]):
            self._forget(now_ms)
            if not self._has_room(name[1]):
                return None
        return self.of_stream.setdefault(name, Window())

    def _has_room(self, sender: str) -> bool:
        of_sender = sum(1 for _, other, _ in self.of_stream if other == sender)
        return len(self.of_stream) < self.most and of_sender < self.most_of_sender

    def _forget(self, now_ms: int) -> None:
        gone = [name for name, window in self.of_stream.items() if window.is_outlived(now_ms)]
        for name in gone:
            self.floor_ms = max(self.floor_ms, self.of_stream.pop(name).newest_time_ms)
