"""The names of all that can be wrong with an envelope."""

from enum import Enum


class Refusal(Enum):
    """Why an envelope is refused: the names of `docs/envelope-format.md`, in the order of the checks."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    WRONG_TOPIC = "wrong_topic"
    REVOKED_KEY = "revoked_key"
    SENDER_MISMATCH = "sender_mismatch"
    BAD_TAG = "bad_tag"
    NOT_ENCRYPTED = "not_encrypted"
    EXPIRED_KEY = "expired_key"
    EXPIRED = "expired"
    FROM_FUTURE = "from_future"
    REPLAYED = "replayed"
    STREAM_REUSED = "stream_reused"
    TOO_MANY_STREAMS = "too_many_streams"
    BAD_SIGNATURE = "bad_signature"
    VERIFY_ONLY_KEY = "verify_only_key"
    DECRYPT_FAILED = "decrypt_failed"


class Refused(Exception):
    """An envelope is refused, for the one reason that the order of the checks meets first."""

    def __init__(self, refusal: Refusal, why: str) -> None:
        super().__init__(f"{refusal.value}: {why}")
        self.refusal = refusal
