"""Signatures by a sender's own key: Ed25519, and ECDSA on P-256 with SHA-256."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ED25519 = 1
ECDSA_P256 = 2
SCALAR_BYTES = 32


@dataclass(frozen=True)
class Signer:
    """A private key: 32 bytes, the seed of Ed25519 or the scalar of P-256."""

    algorithm: int
    private: bytes

    def sign(self, message: bytes) -> bytes:
        if self.algorithm == ED25519:
            return ed25519.Ed25519PrivateKey.from_private_bytes(self.private).sign(message)
        # RFC 6979, so that vectors come out the same each time; any nonce would do.
        ecdsa = ec.ECDSA(SHA256(), deterministic_signing=True)
        r, s = decode_dss_signature(self._p256().sign(message, ecdsa))
        return r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")

    def public(self) -> PublicKey:
        if self.algorithm == ED25519:
            key = ed25519.Ed25519PrivateKey.from_private_bytes(self.private).public_key()
            return PublicKey(ED25519, key.public_bytes_raw())
        point = self._p256().public_key().public_numbers()
        x, y = (number.to_bytes(SCALAR_BYTES, "big") for number in (point.x, point.y))
        return PublicKey(ECDSA_P256, b"\x04" + x + y)

    def _p256(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(self.private, "big"), ec.SECP256R1())


@dataclass(frozen=True)
class PublicKey:
    """A sender's public key: 32 bytes of Ed25519, or an uncompressed point of P-256."""

    algorithm: int
    public: bytes

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        try:
            if self.algorithm == ED25519:
                ed25519.Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
            else:
                r, s = (int.from_bytes(signature[at : at + SCALAR_BYTES], "big") for at in (0, SCALAR_BYTES))
                point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.public)
                point.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True
