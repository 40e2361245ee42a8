"""Unwraps a key that `bastionmq keys wrap` has wrapped for a device: docs/envelope-keys.md has the format.

    python wrapped_key.py PRIVATE-KEY WRAPPED

prints the key as `bastionmq keys export` does. It needs `cryptography` 47 or newer, for HPKE.
"""

import json
import struct
import sys
from base64 import b64decode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# By algorithm, what it is and what kind of private key it takes.
HPKE = {
    "hpke-p256-sha256-aes256gcm": (KEM.P256, ec.EllipticCurvePrivateKey),
    "hpke-x25519-sha256-aes256gcm": (KEM.X25519, x25519.X25519PrivateKey),
}


def counted(text):
    return struct.pack(">H", len(text.encode())) + text.encode()


def binding(wrapped):
    """All that is said of the key: it does not unwrap where any of it was changed."""
    holds = {"topic_key": 1, "mac_root": 2}[wrapped["holds"]]
    key_id, not_after_ms = bytes.fromhex(wrapped["key_id"]), wrapped.get("not_after_ms", 0)
    head = struct.pack(">9s8sBQ", b"bmq1 wrap", key_id, holds, not_after_ms)
    topics = struct.pack(">H", len(wrapped["topics"])) + b"".join(map(counted, wrapped["topics"]))
    return head + counted(wrapped["device"]) + topics


def unwrap(wrapped, private):
    """The 32 bytes of the key."""
    if wrapped["wrapped_key"] != 1:
        raise ValueError("of a later version")
    ciphertext = b64decode(wrapped["ciphertext"], validate=True)
    if wrapped["algorithm"] == "rsa-oaep-sha256" and isinstance(private, rsa.RSAPrivateKey):
        return private.decrypt(ciphertext, padding.OAEP(padding.MGF1(SHA256()), SHA256(), binding(wrapped)))
    kem, kind = HPKE[wrapped["algorithm"]]
    if not isinstance(private, kind):
        raise ValueError("wrapped for a key of another kind")
    encapsulated = b64decode(wrapped["encapsulated"], validate=True)
    suite = Suite(kem, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    return suite.decrypt(encapsulated + ciphertext, private, info=binding(wrapped))


def exported(wrapped, private):
    """The key as `bastionmq keys export` prints it."""
    named = {name: wrapped[name] for name in ("key_id", "topics", "not_after_ms") if name in wrapped}
    return {**named, wrapped["holds"]: unwrap(wrapped, private).hex()}


if __name__ == "__main__":
    private_key = load_pem_private_key(Path(sys.argv[1]).read_bytes(), None)
    print(json.dumps(exported(json.loads(Path(sys.argv[2]).read_text()), private_key)))
