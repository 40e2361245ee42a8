"""The replay window, beside one that keeps all it has seen."""

import random
import unittest

from .window import WIDTH, Seen, Window, Windows


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
                    window.accept(seq, b"tag", 0, 0)
                    seen.add(seq)

    def test_a_number_that_is_used_twice_is_told_from_a_replay(self) -> None:
        window = Window()
        for seq in range(1, 101):
            window.accept(seq, b"tag", 1_000, 2_000)
        self.assertIs(window.look(100, b"tag", 1_000), Seen.REPLAYED)
        self.assertIs(window.look(100, b"gat", 1_000), Seen.REUSED)
        # Too long ago to know its tag, but it is newer than all that was accepted.
        self.assertIs(window.look(1, b"gat", 1_000), Seen.REPLAYED)
        self.assertIs(window.look(1, b"gat", 1_001), Seen.REUSED)
        self.assertIs(window.look(101, b"gat", 1_001), Seen.NEW)

    def test_a_stream_is_forgotten_for_another_once_the_clock_refuses_all_of_it(self) -> None:
        windows, old, new = Windows(most=1), (b"k", "s", b"old"), (b"k", "s", b"new")
        first = windows.open(old, 1_000)
        assert first is not None
        first.accept(7, b"tag", 1_010, 1_310)
        self.assertIsNone(windows.open(new, 1_310))
        self.assertIsNotNone(windows.open(new, 1_311))
        self.assertEqual((windows.get(old), windows.floor_ms), (None, 1_010))


if __name__ == "__main__":
    unittest.main()
