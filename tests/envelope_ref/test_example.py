"""The module that docs/examples gives to device makers in Python, against the vectors."""

import importlib
import sys
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from .scene import unhexed
from .test_vectors import listed

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "python"


def example() -> Any:
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module("sealed_envelope")
    finally:
        sys.path.remove(str(EXAMPLES))


def is_of_its_kind(vector: dict[str, Any]) -> bool:
    """Whether a vector asks for nothing that the module leaves out, as it says."""
    beyond = ("mac_root", "signers", "limits", "not_after_ms", "needs_signature", "open")
    steps = vector.get("steps", [vector])
    return (
        vector["state"] == "active"
        and vector["max_age_ms"] is not None
        and not any(name in step for step in (vector, *steps) for name in beyond)
    )


def is_encrypted(envelope: bytes) -> bool:
    return envelope[4:8] == b"\x01\x00\x01\x01"


class Example(unittest.TestCase):
    def test_it_judges_as_the_vectors_say(self) -> None:
        of_its_kind = [vector for vector in listed() if is_of_its_kind(vector)]
        self.assertGreater(len(of_its_kind), 200)
        for vector in of_its_kind:
            with self.subTest(vector["name"]):
                self.judge(vector)

    def judge(self, vector: dict[str, Any]) -> None:
        module = example()
        key = module.Key(vector["key_id"], vector["topic_key"], vector["topics"])
        opener = module.Opener([key], vector["max_age_ms"], vector["max_skew_ms"])
        for step in ({**vector, **each} for each in vector.get("steps", [{}])):
            envelope = unhexed(step["envelope"])
            try:
                payload = opener.open(step["topic"], envelope, step["sender"], step["now_ms"])
                self.assertEqual(("ok", payload), (step["expect"], unhexed(step["payload"])))
            except module.Refused as refused:
                # It takes suite 1 alone, and does not tell a clone from a replay.
                passed_the_tag = ("ok", "expired", "from_future", "replayed", "stream_reused", "not_encrypted")
                if not is_encrypted(envelope) and step["expect"] in passed_the_tag:
                    self.assertEqual(str(refused), "not_encrypted")
                else:
                    self.assertEqual(str(refused), step["expect"].replace("stream_reused", "replayed"))

    def test_a_stream_that_makes_room_for_another_does_not_come_back(self) -> None:
        module = example()
        key = module.Key("00" * 8, "11" * 32, ["a"])
        opener, age = module.Opener([key]), 300_000
        sealed = [module.Sealer(key, "s").seal("a", b"", 1_000) for _ in range(module.MOST_STREAMS)]
        for envelope in sealed:
            opener.open("a", envelope, now=1_000)
        later = module.Sealer(key, "s").seal("a", b"later", 1_000 + age)
        for envelope, now, expected in (
            (later, 1_000 + age, "too_many_streams"),
            (later, 1_001 + age, b"later"),
            (later, 1_001 + age, "replayed"),
            (sealed[0], 1_000, "expired"),
        ):
            try:
                self.assertEqual(opener.open("a", envelope, now=now), expected)
            except module.Refused as refused:
                self.assertEqual(str(refused), expected)

    def test_while_keys_are_rolled_the_old_one_and_the_new_one_open(self) -> None:
        module = example()
        old, new = (module.Key(name * 8, name * 32, ["a"]) for name in ("00", "11"))
        opener = module.Opener([old, new])
        for key in (old, new, old):
            self.assertEqual(opener.open("a", module.Sealer(key, "s").seal("a", b"payload")), b"payload")
        with self.assertRaisesRegex(module.Refused, "unknown_key"):
            module.Opener([new]).open("a", module.Sealer(old, "s").seal("a", b"payload"))

    def test_it_seals_as_the_vectors_say(self) -> None:
        module = example()
        optional = ("content_type", "trace", "private", "signer")
        good = [vector for vector in listed() if vector.get("suite") == 1 and "topic_key" in vector]
        plain = [vector for vector in good if not any(vector.get(name) for name in optional)]
        plain = [vector for vector in plain if vector["content_type"] is None]
        self.assertGreater(len(plain), 15)
        for vector in plain:
            with self.subTest(vector["name"]):
                stream = bytes.fromhex(vector["stream"])
                with mock.patch.object(module.secrets, "token_bytes", return_value=stream):
                    sealer = module.Sealer(module.Key(vector["key_id"], vector["topic_key"], []), vector["sealed_by"])
                sealer.seq = vector["seq"] - 1
                sealed = sealer.seal(vector["topic"], unhexed(vector["payload"]), vector["time_ms"])
                self.assertEqual(sealed, unhexed(vector["envelope"]))


if __name__ == "__main__":
    unittest.main()
