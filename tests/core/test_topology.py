"""Tenant names, topologies and places."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.errors import ConfigError, InvalidTenant
from shardroute.hashing import shard_of
from shardroute.records import Metric
from shardroute.topology import (
    IdScheme,
    Placement,
    Tenancy,
    TenancyKind,
    TenantOf,
    Topology,
    check_tenant,
    percent_encoded,
)

SHARED = Topology("old", shards=4, placement=Placement("blue", "docs-{shard}"), dimension=8)
APART = Topology(
    "new",
    shards=4,
    placement=Placement("green", "docs-{shard}-{tenant}", Tenancy(TenancyKind.COLLECTION)),
    dimension=8,
)


@pytest.mark.parametrize(
    "tenant", ["a", "7", "acme", "Acme-Corp_1.eu", "a@b+c~d:e", "auth0%7C5f7", "%2B1", "x" * 128]
)
def test_a_tenant_name_may_have_letters_digits_and_some_punctuation(tenant: str) -> None:
    assert check_tenant(tenant) == tenant


@pytest.mark.parametrize(
    "tenant",
    [
        "", "x" * 129, "-acme", ".acme", ":acme", "acme corp", " acme", "acme ", "acme\n", "\nacme", "acme\0",
        "acme\t", "ac/me", "ac*me", "{acme}", "{tenant}", "ac{me", "acme}", "acmé", "ａcme", "акме", "acme\u200b",
        "１", "a\u0301", "a'b", 'a"b', "a\\b", "a,b", "a=b", "a#b", "a$b", None, 7, b"acme", ["acme"],
    ],
    ids=repr,
)  # fmt: skip
def test_any_other_tenant_name_is_refused(tenant: object) -> None:
    with pytest.raises(InvalidTenant, match="not a valid name"):
        check_tenant(tenant)


@given(st.text(max_size=140))
def test_an_accepted_tenant_name_is_plain_ascii_without_braces(tenant: str) -> None:
    try:
        check_tenant(tenant)
    except InvalidTenant:
        return
    assert tenant.isascii()
    assert tenant.isprintable()
    assert not set(tenant) & set("{}*/ ")


@pytest.mark.parametrize(
    ("value", "tenant"),
    [
        ("acme", "acme"),
        ("auth0|5f7", "auth0%7C5f7"),
        ("Acme Inc.", "Acme%20Inc."),
        ("müller", "m%C3%BCller"),
        ("100%", "100%25"),
        ("+49", "%2B49"),
        ("über", "%C3%BCber"),
    ],
)
def test_a_percent_encoded_name_stands_for_any_value(value: str, tenant: str) -> None:
    assert percent_encoded(value) == tenant
    assert check_tenant(tenant) == tenant
    assert (TenantOf.PERCENT.tenant(value), TenantOf.PERCENT.value_of(tenant)) == (tenant, value)
    assert TenantOf.VALUE.value_of(tenant) == tenant


@given(st.text(max_size=140))
def test_a_value_is_one_tenants_or_nobodys_and_the_tenant_has_no_other(value: str) -> None:
    for tenant_of in TenantOf:
        if (tenant := tenant_of.tenant(value)) is not None:
            assert check_tenant(tenant) == tenant
            assert tenant_of.value_of(tenant) == value


@pytest.mark.parametrize("value", ["", "ü" * 60, "x" * 129, "\ud800"], ids=ascii)
def test_what_is_too_long_empty_or_no_text_is_no_tenants(value: str) -> None:
    assert TenantOf.PERCENT.tenant(value) is None


@given(st.from_regex(r"[A-Za-z0-9%][A-Za-z0-9._@+~:%-]{0,20}", fullmatch=True))
def test_a_value_has_one_spelling_as_a_tenant(tenant: str) -> None:
    """Else two tenants would have the same records."""
    try:
        value = TenantOf.PERCENT.value_of(tenant)
    except InvalidTenant:
        return
    assert percent_encoded(value) == tenant


@pytest.mark.parametrize("tenant", ["a%41", "a%7c", "%61", "100%", "a%ff"])
def test_another_spelling_of_a_value_is_refused(tenant: str) -> None:
    with pytest.raises(InvalidTenant, match="in another way than"):
        replace(SHARED, placement=replace(SHARED.placement, tenant_of=TenantOf.PERCENT)).place(tenant)


@pytest.mark.parametrize(
    ("text", "tenancy"),
    [
        ("payload", Tenancy(TenancyKind.PAYLOAD, "tenant")),
        ("payload:", Tenancy(TenancyKind.PAYLOAD, "tenant")),
        ("payload:customer", Tenancy(TenancyKind.PAYLOAD, "customer")),
        ("collection", Tenancy(TenancyKind.COLLECTION)),
        ("shard_key:org", Tenancy(TenancyKind.SHARD_KEY, "org")),
        ("namespace", Tenancy(TenancyKind.NAMESPACE)),
    ],
)
def test_a_tenancy_is_a_kind_and_perhaps_a_field(text: str, tenancy: Tenancy) -> None:
    assert Tenancy.parse(text) == tenancy


@pytest.mark.parametrize("text", ["", ":tenant", "Payload", "database", "payload tenant"])
def test_an_unknown_tenancy_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="payload, collection, shard_key, namespace"):
        Tenancy.parse(text)


@pytest.mark.parametrize(("field", "value"), [("shards", 0), ("shards", -1), ("dimension", 0)])
def test_a_topology_needs_a_shard_and_a_dimension(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"topologies\.old\.{field} is {value}"):
        replace(SHARED, **{field: value})  # type: ignore[arg-type]  # whole numbers, both fields


@pytest.mark.parametrize(
    ("collection", "kind"),
    [
        ("docs", TenancyKind.COLLECTION),
        ("docs-{tenant}", TenancyKind.PAYLOAD),
        ("docs-{tenant}", TenancyKind.NAMESPACE),
        ("docs-{tenant}", TenancyKind.SHARD_KEY),
    ],
)
def test_a_collection_is_named_after_the_tenant_exactly_when_it_has_one_to_itself(
    collection: str, kind: TenancyKind
) -> None:
    with pytest.raises(ConfigError, match="only then"):
        replace(SHARED, placement=Placement("blue", collection, Tenancy(kind)))


def test_a_tenants_shard_is_its_hash() -> None:
    assert SHARED.shard("acme") == shard_of("acme", 4)


def test_a_place_has_all_that_a_store_needs_to_know() -> None:
    placement = Placement(
        "blue", "docs-{shard}", Tenancy(TenancyKind.PAYLOAD, "org"), IdScheme.NATIVE, "dense", "bm25"
    )
    place = Topology("old", 4, placement, dimension=3, metric=Metric.DOT).place("acme")
    assert place.cluster == "blue"
    assert place.collection == f"docs-{shard_of('acme', 4)}"
    assert (place.tenant, place.tenancy) == ("acme", Tenancy(TenancyKind.PAYLOAD, "org"))
    assert (place.ids, place.vector_name, place.sparse_name) == (IdScheme.NATIVE, "dense", "bm25")
    assert (place.dimension, place.metric) == (3, Metric.DOT)


@pytest.mark.parametrize(
    ("topology", "collections"),
    [
        (SHARED, ("docs-0", "docs-1", "docs-2", "docs-3")),
        (replace(SHARED, placement=Placement("blue", "docs")), ("docs",)),
        (APART, ()),
    ],
)
def test_collections_are_known_beforehand_unless_each_tenant_has_its_own(
    topology: Topology, collections: tuple[str, ...]
) -> None:
    assert topology.collections() == collections


def _in_namespaces(**placement: str) -> Topology:
    return replace(
        SHARED,
        placement=Placement("p", "docs", Tenancy(TenancyKind.NAMESPACE), **placement),  # type: ignore[arg-type]  # names only
    )


def test_one_tenant_may_have_the_default_namespace_and_no_other_gets_it() -> None:
    topology = _in_namespaces(namespace="__{tenant}__", default_namespace="main")
    assert topology.place("main").namespace == "__default__"
    assert topology.place("acme").namespace == "__acme__"
    with pytest.raises(InvalidTenant, match="which belongs to tenant 'main'"):
        topology.place("default")
    assert _in_namespaces(namespace="__{tenant}__").place("default").namespace == "__default__"


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (Placement("p", "docs", default_namespace="main"), "tenancy 'payload' has no namespaces"),
        (
            Placement("p", "docs", Tenancy(TenancyKind.NAMESPACE), default_namespace="no/tenant"),
            "it is the tenant that has the default namespace",
        ),
        (
            Placement("p", "docs", Tenancy(TenancyKind.NAMESPACE), namespace=""),
            'say default_namespace = "TENANT"',
        ),
        (
            Placement("p", "docs", Tenancy(TenancyKind.NAMESPACE), namespace="__default__"),
            'say default_namespace = "TENANT"',
        ),
    ],
)
def test_a_default_namespace_is_a_tenants_of_a_cluster_with_namespaces(
    placement: Placement, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        replace(SHARED, placement=placement)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+~-]{0,127}", fullmatch=True))
def test_a_tenants_collection_is_one_of_its_topologys(tenant: str) -> None:
    assert SHARED.place(tenant).collection in SHARED.collections()
    assert APART.place(tenant).collection == f"docs-{APART.shard(tenant)}-{tenant}"


@pytest.mark.parametrize("tenant", ["a:b", "{shard}", "a b", "a\n"])
def test_a_tenant_after_whom_no_collection_can_be_named_is_refused(tenant: str) -> None:
    with pytest.raises(InvalidTenant, match="collection name"):
        APART.place(tenant)


@pytest.mark.parametrize(
    "collection", ["{shard}{tenant}", "{tenant}{shard}", "{shard}1{tenant}", "{tenant}-1{shard}"]
)
def test_a_pattern_by_which_two_tenants_could_share_a_collection_is_refused(collection: str) -> None:
    placement = Placement("c", collection, Tenancy(TenancyKind.COLLECTION))
    with pytest.raises(ConfigError, match="share a collection"):
        Topology("v", 20, placement, 4)


def test_an_unknown_placeholder_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="tennant"):
        Topology("v", 1, Placement("c", "docs_{tennant}"), 4)
