"""A filter means the same on every store, and what the text in `shardroute.filters` says.

Some hundred generated filters over generated records, then those that hypothesis comes up with, then the
traps one by one. What a store gives a reason not to evaluate (`filter_misfit`), it has to refuse: never to
answer otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shardroute.filters import matches, parse
from shardroute.ports import Store
from shardroute.stores.pinecone_vectors import PineconeVectorsStore
from shardroute.testing.pinecone import PineconeServer

from ..support.emptying import emptied
from ..support.reference_filters import satisfies
from . import generated
from .asking import Asked, report
from .conftest import ONE_OF_EACH_BACKEND, UNHURRIED, Case, Setup
from .filter_traps import TRAPS, Trap
from .generated import BOUNDS, EXACT, FIELDS, Metadata, Raw, Universe, flat

UNIVERSES = [generated.portable, generated.wide]
NEGATIONS = ["$ne", "$nin", "$not"]
on_every_backend = pytest.mark.parametrize("case", ONE_OF_EACH_BACKEND, ids=str, indirect=True)
OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$and", "$or", "$not"]


# -- what is generated


@pytest.mark.parametrize("universe", UNIVERSES)
def test_many_of_the_generated_filters_tell_records_apart(universe: Callable[[], Universe]) -> None:
    drawn = universe()
    assert len(drawn.filters) >= 250
    met = [sum(satisfies(metadata, raw) for metadata in drawn.metadatas) for raw in drawn.filters]
    assert sum(0 < number < len(drawn.metadatas) for number in met) >= 0.4 * len(met)


@pytest.mark.parametrize("universe", UNIVERSES)
def test_each_operator_is_in_many_of_the_generated_filters(universe: Callable[[], Universe]) -> None:
    written = [json.dumps(raw) for raw in universe().filters]
    seldom = {name for name in OPERATORS if sum(f'"{name}": ' in raw for raw in written) < 50}
    assert not seldom


@pytest.mark.parametrize("universe", UNIVERSES)
def test_generated_filters_mean_what_the_text_says(universe: Callable[[], Universe]) -> None:
    drawn = universe()
    for raw in drawn.filters:
        condition = parse(raw)
        for metadata in drawn.metadatas:
            assert matches(condition, metadata) is satisfies(metadata, raw), (raw, metadata)


# -- what the stores make of it


@on_every_backend
async def test_every_store_answers_portable_filters_alike(case: Case) -> None:
    universe = case.universe(generated.portable())
    asked = await Asked.written(case, universe.metadatas)
    assert list(asked.held.values()) == universe.metadatas
    problems = await asked.disagreements(universe.filters)
    assert not problems, report(problems)
    assert [raw for raw in asked.refused if not _cannot(case.store, raw)] == []
    assert len(universe.filters) - len(asked.refused) >= 200


@on_every_backend
async def test_filters_on_what_not_every_store_can_hold_are_answered_alike_or_refused(case: Case) -> None:
    universe = case.universe(generated.wide())
    asked = await Asked.written(case, universe.metadatas)
    problems = await asked.disagreements(universe.filters)
    assert not problems, report(problems)
    assert len(asked.refused) < len(universe.filters) / 2


async def test_pinecone_agrees_as_well_if_its_ne_and_nin_leave_out_records_without_the_field() -> None:
    """It is not documented, and was seen to change (deepset-ai/haystack-core-integrations, issue 590)."""
    universe = generated.portable()
    async with PineconeServer(ne_matches_missing=False) as server:
        store = PineconeVectorsStore.connect(
            "test", api_key="any", control_host=server.url, lag=0.0, rate=UNHURRIED
        )
        case = Case(Setup("pinecone-vectors", "namespace"), store, server.url)
        asked = await Asked.written(case, universe.metadatas)
        negated = [raw for raw in universe.filters if any(word in json.dumps(raw) for word in NEGATIONS)]
        problems = await asked.disagreements(negated)
        await store.aclose()
    assert not problems, report(problems)


def _cannot(store: Store, raw: Raw) -> bool:
    """Whether the filter may hold what the store has no words for: on Pinecone, a range that is negated."""
    written = json.dumps(raw)
    bounded = any(f'"{operator}"' in written for operator in ("$gt", "$gte", "$lt", "$lte"))
    return "pinecone" in store.system and '"$not"' in written and bounded


# -- what hypothesis comes up with


FEW_FIELDS = FIELDS[:2]
words = st.sampled_from(["x", "X", "", "1", "true"]) | st.text(st.characters(codec="utf-8"), max_size=3)
numbers = (
    st.sampled_from([0, -0.0, 1, 1.0, 2, 2.5])
    | st.integers(-EXACT, EXACT)
    | st.floats(allow_nan=False, allow_infinity=False)
)
scalars = words | numbers | st.booleans()
metadatas = st.dictionaries(
    st.sampled_from(FEW_FIELDS), scalars | st.lists(words, min_size=1, max_size=3), max_size=len(FEW_FIELDS)
)


@st.composite
def asked_of_records(draw: st.DrawFn) -> tuple[list[Metadata], list[Raw]]:
    """Records, and filters on them whose operands are held by some record more often than not."""
    held = draw(st.lists(metadatas, min_size=3, max_size=8))
    known = [scalar for metadata in held for value in metadata.values() for scalar in flat(value)]
    operands = st.sampled_from(known or [1]) | st.sampled_from(known or [1]) | scalars
    known_numbers = [value for value in known if not isinstance(value, (str, bool))] or [1]
    bounds = st.sampled_from(known_numbers) | st.sampled_from(known_numbers) | numbers
    conditions = st.one_of(
        operands,
        *(st.fixed_dictionaries({name: operands}) for name in ("$eq", "$ne")),
        *(st.fixed_dictionaries({name: st.lists(operands, max_size=3)}) for name in ("$in", "$nin")),
        st.fixed_dictionaries({"$exists": st.booleans()}),
        *(st.fixed_dictionaries({name: bounds}) for name in BOUNDS),
        st.dictionaries(st.sampled_from(BOUNDS), bounds, min_size=2, max_size=2),
    )
    filters = st.recursive(
        st.dictionaries(st.sampled_from(FEW_FIELDS), conditions, min_size=1, max_size=2),
        lambda inner: (
            st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=3)})
            | st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=3)})
            | st.fixed_dictionaries({"$not": inner})
        ),
        max_leaves=4,
    )
    return held, draw(st.lists(filters, min_size=6, max_size=12))


@on_every_backend
@settings(
    max_examples=30,
    phases=[Phase.generate],  # the report names the shortest filters; shrinking would ask a store for minutes
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=asked_of_records())
async def test_every_store_answers_what_hypothesis_draws_alike(
    case: Case, drawn: tuple[list[Metadata], list[Raw]]
) -> None:
    universe = case.universe(Universe(*drawn))
    written = await Asked.written(case, universe.metadatas, tenant=f"t{uuid4().hex[:12]}")
    try:
        problems = await written.disagreements(universe.filters)
        assert not problems, report(problems)
        assert [raw for raw in written.refused if not _cannot(case.store, raw)] == []
    finally:
        await emptied(case.store, written.place)


# -- the traps, one by one


@pytest.mark.parametrize("trap", TRAPS, ids=str)
def test_the_reference_knows(trap: Trap) -> None:
    assert [metadata for metadata in trap.match if not satisfies(metadata, trap.filter)] == []
    assert [metadata for metadata in trap.differ if satisfies(metadata, trap.filter)] == []


@on_every_backend
@pytest.mark.parametrize("trap", TRAPS, ids=str)
async def test_every_store_knows(case: Case, trap: Trap) -> None:
    asked = await Asked.written(case, [*trap.match, *trap.differ])
    problems = await asked.disagreements([trap.filter])
    assert not problems, report(problems)
