"""Keys, topics and signatures, beside what their standards say of them."""

import unittest

from .keys import Key, State, hkdf, matches
from .scene import ED25519_SIGNER, KEY_ID, P256_SIGNER, STREAM, key, seal
from .sealing import Sealer, context, nonce
from .signing import Signer


class Keys(unittest.TestCase):
    def test_hkdf_is_that_of_rfc_5869(self) -> None:
        # Its third test case, whose salt and info are empty.
        expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
        self.assertEqual(hkdf(b"\x0b" * 22, b"").hex(), expected)

    def test_topics_match_as_in_mqtt(self) -> None:
        taken = [("a/#", "a"), ("a/#", "a/b/c"), ("#", "a"), ("+", "a"), ("a/+", "a/"), ("+/+", "/a"), ("$x/#", "$x")]
        refused = [("a/+", "a"), ("a", "a/b"), ("a/b", "a"), ("+", "a/b"), ("#", "$x"), ("+/b", "$x/b"), ("A", "a")]
        for pattern, topic in taken:
            self.assertTrue(matches(pattern, topic), f"{pattern} {topic}")
        for pattern, topic in refused:
            self.assertFalse(matches(pattern, topic), f"{pattern} {topic}")

    def test_what_binds_an_envelope_is_as_the_page_says(self) -> None:
        self.assertEqual(context("a/b"), b"BMQ1\x00\x03a/b")
        self.assertEqual(nonce(258), b"\0\0\0\0" + b"\0\0\0\0\0\0\1\2")

    def test_signatures_are_those_of_rfc_8032(self) -> None:
        # Its second test.
        signer = Signer(1, bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
        self.assertTrue(signer.sign(b"\x72").hex().startswith("92a009a9f0d4cab8720e820b5f642540"))
        self.assertTrue(signer.public().public.hex().startswith("3d4017c3e843895a92b70aa74d1b7ebc"))
        for each in (ED25519_SIGNER, P256_SIGNER):
            signature = each.sign(b"message")
            self.assertTrue(each.public().has_signed(b"message", signature))
            self.assertFalse(each.public().has_signed(b"massage", signature))

    def test_only_an_active_topic_key_seals_and_only_for_its_topics(self) -> None:
        retiring = Key.of_topic_key(KEY_ID, bytes(32), ("#",), State.RETIRING)
        verify_only = Key.of_mac_root(KEY_ID, bytes(32), ("#",), State.ACTIVE)
        for unfit in (retiring, verify_only):
            self.assertRaises(ValueError, Sealer, unfit, "a", STREAM)
        self.assertRaises(ValueError, seal, topic="$other/x")
        self.assertRaises(OverflowError, seal, seq=2**64)
        self.assertRaises(ValueError, Sealer, key(), "s" * 129, STREAM)


if __name__ == "__main__":
    unittest.main()
