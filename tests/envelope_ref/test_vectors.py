"""The vectors, and the file that they are in."""

import json
import unittest
from pathlib import Path
from typing import Any

from . import vectors
from .exchange import sealed_from
from .judge import answers
from .refusal import Refusal
from .scene import hexed, unhexed

FILE = Path(__file__).parent.parent / "vectors" / "envelope.json"


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text("ascii"))["vectors"]
    return found


class Vectors(unittest.TestCase):
    def test_the_file_is_what_the_script_makes(self) -> None:
        self.assertTrue(FILE.read_text("ascii") == vectors.text(), f"make {FILE} anew: see vectors.py")

    def test_each_vector_comes_out_as_it_says(self) -> None:
        for vector in listed():
            with self.subTest(vector["name"]):
                expected = [{**vector, **step} for step in vector.get("steps", [{}])]
                for step, (name, payload) in zip(expected, answers(vector), strict=True):
                    self.assertEqual(name, step["expect"])
                    if payload is not None:
                        self.assertEqual(payload, unhexed(step["payload"]))

    def test_each_good_vector_is_what_its_inputs_make(self) -> None:
        good = [vector for vector in listed() if "stream" in vector and "topic_key" in vector]
        self.assertGreaterEqual(len(good), 40)
        for vector in good:
            with self.subTest(vector["name"]):
                self.assertEqual(unhexed(vector["envelope"]), sealed_from(vector))

    def test_every_refusal_is_covered_and_every_name_is_given_once(self) -> None:
        all_steps = [step for vector in listed() for step in vector.get("steps", [vector])]
        self.assertLessEqual({refusal.value for refusal in Refusal}, {step["expect"] for step in all_steps})
        names = [vector["name"] for vector in listed()]
        self.assertEqual(len(names), len(set(names)))

    def test_what_is_written_in_runs_reads_as_it_was(self) -> None:
        for value in (b"", b"a", b"a" * 5_000, b"xa" + b"a" * 5_000 + b"b" * 2_000 + b"yz"):
            self.assertEqual(unhexed(hexed(value)), value)
        self.assertEqual(hexed(b"x" + b"Z" * 1_000), "78 5a*1000")


if __name__ == "__main__":
    unittest.main()
