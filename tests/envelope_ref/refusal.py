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
    EXPIRED = "expired"
    FROM_FUTURE = "from_future"
    REPLAYED = "replayed"
    BAD_SIGNATURE = "bad_signature"
    DECRYPT_FAILED = "decrypt_failed"


class Refused(Exception):
    """An envelope is refused, for the one reason that the order of the checks meets first."""

    def __init__(self, refusal: Refusal, why: str) -> None:
        super().__init__(f"{refusal.value}: {why}")
        self.refusal = refusal
