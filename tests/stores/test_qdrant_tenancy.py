"""Whose point it is: one rule for a field at the top or within others, of text or of whole numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.errors import ConfigError, InvalidTenant
from shardroute.stores.qdrant_tenancy import belongs, shared, tenant_field
from shardroute.topology import Place, Placement, Tenancy, Topology


def place(tenancy: str, tenant: str = "42") -> Place:
    return Topology("v", 1, Placement("q", "docs", Tenancy.parse(tenancy)), 4).place(tenant)


FLAT, NESTED, NUMBER, DEEP, QUOTED = (
    "payload:tenant", "payload:metadata.tenant_id", "payload:org:integer", "payload:a.b.c:integer", 'payload:"a.b"',
)  # fmt: skip
ALL = (FLAT, NESTED, NUMBER, DEEP, QUOTED)


@pytest.mark.parametrize(
    ("tenancy", "key", "payload"),
    [
        (FLAT, "tenant", {"tenant": "42"}),
        (NESTED, "metadata.tenant_id", {"metadata": {"tenant_id": "42"}}),
        (NUMBER, "org", {"org": 42}),
        (DEEP, "a.b.c", {"a": {"b": {"c": 42}}}),
        (QUOTED, '"a.b"', {"a.b": "42"}),
        ("payload:user id", '"user id"', {"user id": "42"}),
    ],
)
def test_a_field_has_its_path_in_the_payload_and_in_filters(
    tenancy: str, key: str, payload: dict[str, Any]
) -> None:
    field = tenant_field(Tenancy.parse(tenancy))
    assert field is not None
    written: dict[str, Any] = {}
    field.put(written, "42")
    assert (field.key, written) == (key, payload)
    assert belongs(place(tenancy), payload)
    assert not belongs(place(tenancy, "43"), payload)
    assert not shared(place(tenancy), payload)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcx"), inner, max_size=3),
    max_leaves=8,
)
METADATA = st.dictionaries(st.sampled_from(["a", "b", "metadata", "tenant", "org", "x"]), VALUES, max_size=4)


@given(METADATA, st.sampled_from(ALL))
def test_metadata_that_fits_beside_the_field_comes_back_as_it_went(
    metadata: dict[str, Any], tenancy: str
) -> None:
    field = tenant_field(Tenancy.parse(tenancy))
    assert field is not None
    if field.misfit(metadata) is not None:
        return
    before = repr(metadata)
    payload = dict(metadata)
    field.put(payload, "42")
    assert repr(metadata) == before
    assert belongs(place(tenancy), payload)
    field.take(payload)
    assert payload == metadata


@pytest.mark.parametrize(
    ("tenancy", "metadata", "said"),
    [
        (FLAT, {"tenant": "x"}, "'tenant' is the field that tells tenants apart here"),
        (
            NESTED,
            {"metadata": {"tenant_id": "x"}},
            "'metadata.tenant_id' is the field that tells tenants apart here",
        ),
        (NESTED, {"metadata": "text"}, "'metadata' must be a mapping"),
        (NESTED, {"metadata": {}}, "'metadata' is an empty mapping, which here would not come back"),
        (NESTED, {"metadata": {"x": 1}, "tenant_id": "x"}, None),
        (QUOTED, {"a": {"b": 1}}, None),
    ],
)
def test_metadata_that_cannot_stand_beside_the_field_is_named(
    tenancy: str, metadata: dict[str, Any], said: str | None
) -> None:
    field = tenant_field(Tenancy.parse(tenancy))
    assert field is not None
    reason = field.misfit(metadata)
    assert reason is None if said is None else said in (reason or "")


@pytest.mark.parametrize(
    ("tenancy", "held", "own", "others"),
    [
        (FLAT, ["42"], True, False),
        (FLAT, ["42", "43"], True, True),
        (FLAT, ["43"], False, True),
        (FLAT, 42, False, True),
        (FLAT, None, False, False),
        (NUMBER, 42, True, False),
        (NUMBER, [42, 43], True, True),
        (NUMBER, "42", False, True),
        (NUMBER, True, False, True),
    ],
)
def test_a_list_is_each_of_its_items_and_text_is_no_number(
    tenancy: str, held: object, own: bool, others: bool
) -> None:
    name = "tenant" if tenancy == FLAT else "org"
    at = place(tenancy)
    assert (belongs(at, {name: held}), shared(at, {name: held})) == (own, others)
    assert not belongs(place(NUMBER, "1"), {"org": True})


@pytest.mark.parametrize("tenant", ["acme", "4.2", "007", "1" * 30])
def test_a_field_of_whole_numbers_names_no_other_tenant(tenant: str) -> None:
    with pytest.raises(InvalidTenant, match=r"no whole number.*'org'"):
        place(NUMBER, tenant)


@pytest.mark.parametrize("text", ["payload:a..b", "payload:.a", "payload:a.", "shard_key:org:integer"])
def test_a_field_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="tenancy"):
        Tenancy.parse(text)
