"""Ids of Qdrant's points: one spelling each, and every other spelling known for what it is."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardroute.native_ids import misfit, native_id, respelt

KNOWN = "c9a52f54-99c2-45b7-9d1f-61da14ebe68d"


def spellings(name: UUID) -> list[str]:
    """What the parser of Qdrant takes for one UUID (uuid 1.x for Rust: simple, hyphenated, urn and braced)."""
    return [name.hex, name.hex.upper(), str(name).upper(), name.urn, f"{{{name}}}", str(name).title()]


@pytest.mark.parametrize("name", ["0", "42", str(2**64 - 1), KNOWN])
def test_numbers_and_uuids_in_qdrants_spelling_are_ids(name: str) -> None:
    assert str(native_id(name)) == name
    assert (respelt(name), misfit(name)) == (None, None)


@pytest.mark.parametrize("name", ["", "doc", "-1", "1.0", "1e3", str(2**64), "c9a52f54", f"{KNOWN}0"])
def test_what_no_point_can_be_called_is_no_spelling_of_anything(name: str) -> None:
    assert (native_id(name), respelt(name)) == (None, None)
    assert "is not one of Qdrant's" in (misfit(name) or "")


@pytest.mark.parametrize(("name", "known"), [("007", "7"), ("00", "0"), ("٣", "3")])
def test_a_number_in_other_digits_is_told_from_the_id_that_it_reads_as(name: str, known: str) -> None:
    assert (native_id(name), respelt(name)) == (None, known)


@given(st.uuids(), st.integers(0, 5))
def test_every_spelling_of_a_uuid_is_the_id_or_names_it(uuid: UUID, which: int) -> None:
    name = spellings(uuid)[which]
    assert (native_id(name) or respelt(name)) == str(uuid)


@given(st.one_of(st.text(max_size=40), st.text("0123456789abcdefABCDEF-{}urn:id", max_size=45)))
def test_any_text_is_an_id_or_another_spelling_of_one_or_no_id_at_all(name: str) -> None:
    known = respelt(name)
    assert (misfit(name) is None) == (native_id(name) is not None)
    if known is not None:
        assert native_id(name) is None
        assert str(native_id(known)) == known
        assert known in (misfit(name) or "")
