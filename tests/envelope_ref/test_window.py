"""The replay window, beside one that keeps all it has seen."""

import random
import unittest

from .window import WIDTH, Window, Windows


class ReplayWindow(unittest.TestCase):
    def test_it_answers_as_a_set_of_all_numbers_would(self) -> None:
        source = random.Random(2)
        for reach in (3, 70, 1_023, 1_024, 1_025, 5_000):
            window, seen = Window(), {0}
            for _ in range(2_000):
                seq = max(1, max(seen) + source.randint(-reach, max(1, reach // 3)))
                expected = seq in seen or seq <= max(seen) - WIDTH
                self.assertEqual(window.is_replay(seq), expected, f"{seq} of {max(seen)}")
                if not expected:
                    window.accept(seq, 0)
                    seen.add(seq)

    def test_a_stream_is_forgotten_when_the_clock_refuses_all_of_it(self) -> None:
        windows, name = Windows(), (b"k", "s", b"stream")
        windows.accept(name, 7, 1_000)
        windows.forget(1_360, 300, 60)
        self.assertTrue(windows.get(name).is_replay(7))
        windows.forget(1_361, 300, 60)
        self.assertFalse(windows.get(name).is_replay(7))
        self.assertEqual(windows.of_stream, {})


if __name__ == "__main__":
    unittest.main()
