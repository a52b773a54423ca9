"""Hashes that must never change: tenants and ids would move."""

from __future__ import annotations

from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.hashing import jump, key64, point_uuid, shard_of

KEYS = st.integers(min_value=0, max_value=2**64 - 1)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", 16476032584258269876),
        ("a", 4681665781835383343),
        ("acme", 3469556990258029185),
        ("tenant-42", 17529552306793192308),
    ],
)
def test_a_text_hashes_to_the_same_64_bits_for_ever(text: str, key: int) -> None:
    assert key64(text) == key


@pytest.mark.parametrize(
    ("key", "buckets", "bucket"),
    [(0, 1, 0), (1, 1, 0), (42, 57, 43), (0xDEAD10CC, 1, 0), (0xDEAD10CC, 666, 361), (256, 1024, 520)],
)
def test_jump_gives_the_buckets_of_other_implementations(key: int, buckets: int, bucket: int) -> None:
    # The vectors of github.com/lithammer/go-jump-consistent-hash.
    assert jump(key, buckets) == bucket


@pytest.mark.parametrize(("tenant", "shard"), [("acme", 8), ("globex", 15), ("tenant-42", 8)])
def test_a_tenant_stays_on_its_shard_for_ever(tenant: str, shard: int) -> None:
    assert shard_of(tenant, 16) == shard


@given(key=KEYS, buckets=st.integers(min_value=1, max_value=5000))
def test_a_bucket_is_in_range(key: int, buckets: int) -> None:
    assert 0 <= jump(key, buckets) < buckets


@given(key=KEYS, buckets=st.integers(min_value=1, max_value=1000))
def test_one_more_bucket_moves_a_key_into_the_new_one_or_not_at_all(key: int, buckets: int) -> None:
    assert jump(key, buckets + 1) in {jump(key, buckets), buckets}


@pytest.mark.parametrize("buckets", [1, 4, 16])
def test_one_more_bucket_moves_its_share_of_the_keys(buckets: int) -> None:
    tenants = [f"tenant-{number}" for number in range(20_000)]
    moved = sum(shard_of(tenant, buckets) != shard_of(tenant, buckets + 1) for tenant in tenants)
    assert moved / len(tenants) == pytest.approx(1 / (buckets + 1), rel=0.05)


def test_tenants_spread_evenly_over_shards() -> None:
    shards = [shard_of(f"tenant-{number}", 8) for number in range(20_000)]
    assert all(shards.count(shard) == pytest.approx(2500, rel=0.1) for shard in range(8))


@pytest.mark.parametrize(
    ("tenant", "record_id", "uuid"),
    [
        ("acme", "doc-1", "50915b01-e4d8-50bb-930d-87976f94078a"),
        ("ac", "medoc-1", "1107c05a-bff8-5cd6-834b-a34953a37d67"),
        ("acme", "ü", "5ae5470e-72f2-5109-bf7c-5a38a716d32b"),
    ],
)
def test_an_id_is_mapped_to_the_same_uuid_for_ever(tenant: str, record_id: str, uuid: str) -> None:
    assert point_uuid(tenant, record_id) == uuid


@given(
    one=st.tuples(st.text("ab1:", max_size=4), st.text("ab1:", max_size=4)),
    two=st.tuples(st.text("ab1:", max_size=4), st.text("ab1:", max_size=4)),
)
def test_two_pairs_of_tenant_and_id_never_share_a_uuid(one: tuple[str, str], two: tuple[str, str]) -> None:
    assert (point_uuid(*one) == point_uuid(*two)) is (one == two)


def test_a_mapped_id_is_a_version_5_uuid() -> None:
    assert UUID(point_uuid("acme", "doc-1")).version == 5


@given(st.text(max_size=20), st.text(max_size=40))
def test_point_ids_are_uuid5_as_the_standard_library_makes_them(tenant: str, record_id: str) -> None:
    namespace = UUID("5c0f3f0e-2a53-5b8e-9d2c-6f8a4f1c7b11")
    assert point_uuid(tenant, record_id) == str(uuid5(namespace, f"{len(tenant)}:{tenant}{record_id}"))
