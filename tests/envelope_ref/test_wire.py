"""The parser: what is cut, changed or put anywhere is refused, and nothing makes it fail otherwise."""

import random
import unittest

from .refusal import Refusal, Refused
from .scene import ED25519_SIGNER, PAYLOAD, SENDER, crafted, fields, seal
from .wire import HEADER, Type, encode, parse

WHOLE = seal(notes={0x80: b"text/plain", 0xA0: b"private"}, signer=ED25519_SIGNER)


class Wire(unittest.TestCase):
    def refused(self, raw: bytes) -> None:
        with self.assertRaises(Refused) as caught:
            parse(raw)
        self.assertIs(caught.exception.refusal, Refusal.MALFORMED)

    def test_each_field_is_found(self) -> None:
        envelope = parse(WHOLE)
        self.assertEqual((envelope.sender, envelope.seq), (SENDER, 1))
        self.assertEqual(envelope.notes, {0x80: b"text/plain", 0xA0: b"private"})
        self.assertEqual(len(envelope.body), len(PAYLOAD) + 16)
        self.assertEqual(envelope.signed + encode(Type.SIGNATURE, b"\x01" + (envelope.signature or (0, b""))[1]),
                         envelope.tagged)
        self.assertEqual(envelope.tagged + encode(Type.HMAC, envelope.tag), WHOLE)
        self.assertTrue(envelope.signed.startswith(envelope.before_body + b"\x10"))

    def test_it_is_refused_wherever_it_is_cut(self) -> None:
        for end in range(len(WHOLE)):
            self.refused(WHOLE[:end])

    def test_any_length_that_is_another_is_refused_or_makes_another_envelope(self) -> None:
        for at in range(len(HEADER), len(WHOLE)):
            for value in (0, 1, 0x7F, 0x80, 0xFF):
                changed = WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :]
                try:
                    self.assertEqual(parse(changed).raw, changed)
                except Refused as refused:
                    self.assertIs(refused.refusal, Refusal.MALFORMED)

    def test_random_fields_in_random_order_are_taken_in_one_order_alone(self) -> None:
        source = random.Random(1)
        taken = 0
        for _ in range(2_000):
            tlvs = [*fields(), *((source.randrange(0x80, 0x100), b"") for _ in range(source.randrange(3)))]
            if source.random() < 0.5:
                tlvs.insert(source.randrange(len(tlvs)), tlvs.pop(source.randrange(len(tlvs))))
            else:
                tlvs = [*tlvs[:6], *sorted(tlvs[7:]), tlvs[6]]
            try:
                envelope = parse(crafted(tlvs))
            except Refused:
                continue
            taken += 1
            head = [kind for kind, _ in tlvs][:-1]
            self.assertEqual(head, sorted(set(head)))
            self.assertEqual(envelope.body, PAYLOAD)
        self.assertGreater(taken, 500)

    def test_what_is_not_a_body_has_no_extended_length(self) -> None:
        self.assertRaises(ValueError, encode, 0x80, bytes(65_535))
        self.assertEqual(encode(Type.PLAINTEXT, bytes(65_535))[:7], b"\x11\xff\xff\x00\x00\xff\xff")


if __name__ == "__main__":
    unittest.main()
