"""Unwraps a key as docs/envelope-keys.md has it: unwrap.py PRIVATE-KEY WRAPPED prints the exported key."""

import base64
import hashlib
import json
import struct
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

KEMS = {"hpke-p256-sha256-aes256gcm": 0x0010, "hpke-x25519-sha256-aes256gcm": 0x0020}


def counted(text):
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def binding(wrapped):
    holds = {"topic_key": 1, "mac_root": 2}[wrapped["holds"]]
    return b"".join(
        [
            b"bmq1 wrap",
            bytes.fromhex(wrapped["key_id"]),
            struct.pack(">BQ", holds, wrapped.get("not_after_ms", 0)),
            counted(wrapped["device"]),
            struct.pack(">H", len(wrapped["topics"])),
            *map(counted, wrapped["topics"]),
        ]
    )


def extract(salt, secret):
    return HKDF.extract(hashes.SHA256(), salt or bytes(32), secret)


def expand(key, info, length):
    return HKDFExpand(hashes.SHA256(), length, info).derive(key)


def labelled(suite, label, data):
    return b"HPKE-v1" + suite + label + data


def hpke_open(kem, shared, kem_context, info, ciphertext):
    """RFC 9180: sections 4.1 (DHKEM), 5.1 (key schedule, base mode) and 5.2, for the first message."""
    suite = b"KEM" + struct.pack(">H", kem)
    secret = expand(
        extract(b"", labelled(suite, b"eae_prk", shared)),
        struct.pack(">H", 32) + labelled(suite, b"shared_secret", kem_context),
        32,
    )
    suite = b"HPKE" + struct.pack(">HHH", kem, 0x0001, 0x0002)
    context = (
        b"\0"
        + extract(b"", labelled(suite, b"psk_id_hash", b""))
        + extract(b"", labelled(suite, b"info_hash", info))
    )
    prk = extract(secret, labelled(suite, b"secret", b""))
    key = expand(prk, struct.pack(">H", 32) + labelled(suite, b"key", context), 32)
    nonce = expand(prk, struct.pack(">H", 12) + labelled(suite, b"base_nonce", context), 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def montgomery(private):
    """The X25519 key of an Ed25519 key: the half of the hash that RFC 8032 calls the secret scalar."""
    seed = private.private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    return x25519.X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])


def raw(public):
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def point(public):
    return public.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def unwrap(private, wrapped):
    assert wrapped["wrapped_key"] == 1
    ciphertext = base64.b64decode(wrapped["ciphertext"], validate=True)
    if wrapped["algorithm"] == "rsa-oaep-sha256":
        assert isinstance(private, rsa.RSAPrivateKey)
        sha256 = hashes.SHA256()
        return private.decrypt(
            ciphertext, padding.OAEP(padding.MGF1(sha256), sha256, binding(wrapped))
        )
    kem = KEMS[wrapped["algorithm"]]
    encapsulated = base64.b64decode(wrapped["encapsulated"], validate=True)
    if kem == 0x0010:
        curve = ec.SECP256R1()
        sender = ec.EllipticCurvePublicKey.from_encoded_point(curve, encapsulated)
        shared, own = private.exchange(ec.ECDH(), sender), point(private.public_key())
    else:
        if isinstance(private, ed25519.Ed25519PrivateKey):
            private = montgomery(private)
        sender = x25519.X25519PublicKey.from_public_bytes(encapsulated)
        shared, own = private.exchange(sender), raw(private.public_key())
    return hpke_open(kem, shared, encapsulated + own, binding(wrapped), ciphertext)


def main():
    with open(sys.argv[1], "rb") as file:
        private = serialization.load_pem_private_key(file.read(), None)
    with open(sys.argv[2], encoding="utf-8") as file:
        wrapped = json.load(file)
    key = unwrap(private, wrapped)
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert hashlib.sha256(public).hexdigest() == wrapped["recipient"]
    exported = {"key_id": wrapped["key_id"], "topics": wrapped["topics"], wrapped["holds"]: key.hex()}
    if "not_after_ms" in wrapped:
        exported["not_after_ms"] = wrapped["not_after_ms"]
    print(json.dumps(exported))


main()
