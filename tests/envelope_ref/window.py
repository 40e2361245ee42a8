"""Replay windows: which sequence numbers of a stream have been accepted (RFC 6479)."""

from __future__ import annotations

from dataclasses import dataclass, field

WIDTH = 1024

# KEY_ID, SENDER, STREAM.
StreamName = tuple[bytes, str, bytes]


@dataclass
class Window:
    """The newest sequence number accepted, and which of the 1,024 that end with it have been."""

    newest: int = 0
    seen: int = 0
    last_ms: int = 0

    def is_replay(self, seq: int) -> bool:
        """Whether `seq` has been accepted, or is too old to tell."""
        if seq > self.newest:
            return False
        age = self.newest - seq
        return age >= WIDTH or bool(self.seen >> age & 1)

    def accept(self, seq: int, now_ms: int) -> None:
        """Remembers `seq`. The window only ever moves to the right."""
        if seq > self.newest:
            ahead = min(seq - self.newest, WIDTH)
            self.seen = self.seen << ahead & (1 << WIDTH) - 1
            self.newest = seq
        self.seen |= 1 << self.newest - seq
        self.last_ms = max(self.last_ms, now_ms)


@dataclass
class Windows:
    """The windows of all streams that were heard of lately."""

    of_stream: dict[StreamName, Window] = field(default_factory=dict)

    def get(self, name: StreamName) -> Window:
        """The window of a stream; an empty one, which nobody keeps, where there is none."""
        return self.of_stream.get(name, Window())

    def accept(self, name: StreamName, seq: int, now_ms: int) -> None:
        self.of_stream.setdefault(name, Window()).accept(seq, now_ms)

    def forget(self, now_ms: int, max_age_ms: int, max_skew_ms: int) -> None:
        """Forgets streams all of whose messages the clock refuses by now."""
        keep_ms = max_age_ms + max_skew_ms
        kept = {name: window for name, window in self.of_stream.items() if now_ms - window.last_ms <= keep_ms}
        self.of_stream = kept
