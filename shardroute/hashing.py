"""Stable hashes: the same answer in every process, Python version and platform.

Changing any of these functions would move tenants or ids; `tests/core/test_hashing.py` pins golden values.
"""

from __future__ import annotations

from hashlib import blake2b, sha1
from uuid import UUID

_ID_NAMESPACE = sha1(UUID("5c0f3f0e-2a53-5b8e-9d2c-6f8a4f1c7b11").bytes, usedforsecurity=False)
_UUID_MASK = ~(0xC000 << 48 | 0xF000 << 64)  # the bits of variant and version, RFC 9562
_UUID_VERSION_5 = 0x8000 << 48 | 5 << 76
_MULTIPLIER = 2862933555777941757
_MASK = 0xFFFF_FFFF_FFFF_FFFF


def key64(text: str) -> int:
    """64 bits of BLAKE2b over the UTF-8 text, big-endian."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def jump(key: int, buckets: int) -> int:
    """Jump consistent hash (Lamping and Veach 2014, arXiv:1406.2294): bucket of a 64-bit key.

    Growing from n to n + 1 buckets moves 1/(n + 1) of the keys, all of them into the new bucket.
    """
    bucket, candidate = -1, 0
    while candidate < buckets:
        bucket = candidate
        key = (key * _MULTIPLIER + 1) & _MASK
        candidate = int((bucket + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return bucket


def shard_of(tenant: str, shards: int) -> int:
    """The shard of a tenant in a topology of `shards` shards, 0-based."""
    return jump(key64(tenant), shards)


def point_uuid(tenant: str, record_id: str) -> str:
    """UUIDv5 of (tenant, id), for stores whose ids must be UUIDs and are shared by all tenants.

    The tenant's length goes in front, so no two pairs share a name.
    """
    digest = _ID_NAMESPACE.copy()
    digest.update(f"{len(tenant)}:{tenant}{record_id}".encode())
    number = int.from_bytes(digest.digest()[:16], "big") & _UUID_MASK | _UUID_VERSION_5
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
