"""Any history of writes and reads is answered by the server as by Qdrant's local mode."""

from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import AsyncQdrantClient
from qdrant_client import models as m

from shardroute.testing._qdrant_app import qdrant_app
from shardroute.testing._qdrant_store import QdrantStore
from shardroute.testing.qdrant import Faults
from tests.testing.local_mode import IDS, UUIDS, Call, assert_same, point, tenant, vector

tenants = st.sampled_from(["a", "b", ["a", "b"], 1, None])
payloads = st.fixed_dictionaries({"tenant": tenants}, optional={"n": st.integers(0, 3)})
ids = st.sampled_from([*IDS, UUIDS[1].upper()])
seeds = st.integers(0, 2**32)
# Local mode takes the points of an upsert one after another, the engine all at once: a point that comes twice, under a
# condition on what is there, makes a difference.
points = st.lists(
    st.builds(lambda i, s, p: point(i, s, **p), ids, seeds, payloads),
    min_size=1,
    max_size=6,
    unique_by=lambda each: str(each.id).lower(),
)
matches = st.sampled_from([*(m.MatchValue(value=name) for name in "abc"), m.MatchValue(value=1)])
conditions = st.one_of(
    matches.map(lambda match: m.FieldCondition(key="tenant", match=match)),
    st.lists(ids, max_size=4).map(lambda some: m.HasIdCondition(has_id=some)),
    st.integers(0, 3).map(lambda n: m.FieldCondition(key="n", range=m.Range(gte=n))),
    st.just(m.IsEmptyCondition(is_empty=m.PayloadField(key="n"))),
)
simple_filters = st.builds(
    m.Filter,
    must=st.none() | conditions | st.lists(conditions, max_size=3),
    must_not=st.none() | st.lists(conditions, max_size=1),
    should=st.none() | st.lists(conditions, max_size=2),
)
filters = st.one_of(
    simple_filters, st.builds(lambda inner, one: m.Filter(must=[inner, one]), simple_filters, conditions)
)
selectors = st.lists(ids, max_size=3) | filters


def called(method: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(method), st.fixed_dictionaries(arguments))


modes = st.none() | st.sampled_from(m.UpdateMode)
writes = st.one_of(
    called("upsert", points=points, update_mode=modes, update_filter=st.none() | filters),
    called("delete", points_selector=selectors),
    called("set_payload", payload=payloads, points=selectors),
    called("overwrite_payload", payload=payloads, points=selectors),
    called("delete_payload", keys=st.just(["tenant"]), points=selectors),
    called("clear_payload", points_selector=selectors),
)
reads = st.one_of(
    called(
        "scroll",
        scroll_filter=st.none() | filters,
        limit=st.integers(1, 5),
        offset=st.none() | ids,
        with_vectors=st.booleans(),
    ),
    called("count", count_filter=filters),
    called("retrieve", ids=st.lists(ids, max_size=4, unique_by=lambda each: str(each).lower())),
    called(
        "query_points", query=seeds.map(vector), query_filter=st.none() | filters, limit=st.integers(1, 5)
    ),
)
histories = st.tuples(points, st.lists(writes | reads, min_size=3, max_size=12))


def scrolled(*conditions: Any) -> Call:
    return "scroll", {"scroll_filter": m.Filter(must=[*conditions]), "limit": 100}


# The first time they make the server build its indexes, the second time they show whether it kept them.
PROBES: list[Call] = [
    *(scrolled(tenant(name)) for name in "ab"),
    scrolled(tenant("a"), m.HasIdCondition(has_id=IDS[:4])),
    scrolled(m.Filter(must=[tenant("a"), m.FieldCondition(key="n", range=m.Range(gte=1))])),
    ("count", {"count_filter": tenant("b")}),
    ("scroll", {"limit": 100, "with_vectors": True}),
]


@settings(max_examples=40)
@given(histories)
async def test_any_history_reads_as_in_local_mode(history: tuple[list[m.PointStruct], list[Call]]) -> None:
    store = QdrantStore()
    client = AsyncQdrantClient(
        url="http://test",
        check_compatibility=False,
        transport=httpx.ASGITransport(app=qdrant_app(store, Faults())),
    )
    first, calls = history
    try:
        await assert_same(client, [("upsert", {"points": first}), *PROBES, *calls, *PROBES])
    finally:
        await client.close()
        store.close()
