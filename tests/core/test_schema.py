"""What a move from one collection to another does with all that the old one has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from shardroute.records import FLOAT16_TOLERANCE, FLOAT32_TOLERANCE, Metric
from shardroute.schema import Description, End, Kind, Schema, VectorField, Verdict, compare, precision, unfit
from shardroute.topology import Placement, Tenancy, Topology

DENSE = VectorField(Kind.DENSE, 4, "cosine")
WORDS = VectorField(Kind.SPARSE, scoring="idf")
IMAGE = VectorField(Kind.DENSE, 8, "dot")
COLBERT = VectorField(Kind.MULTI, 8, "cosine", scoring="max_sim")
HALF = replace(IMAGE, datatype="float16")
BYTES = replace(IMAGE, datatype="uint8")
TURBO = replace(IMAGE, datatype="turbo4")

Vectors = Mapping[str, VectorField]


def end(
    vectors: Vectors | None = None,
    *,
    cluster: str = "a",
    system: str = "qdrant",
    holds_named: bool = True,
    vector_name: str = "dense",
    sparse_name: str = "",
    indexes: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> End:
    """One end; without `vectors` there is no collection."""
    placement = Placement(
        cluster, "docs", Tenancy.parse("payload:tenant"), vector_name=vector_name, sparse_name=sparse_name
    )
    place = Topology("v", 1, placement, 4).place("acme")
    schema = None if vectors is None else Schema(system, vectors, indexes or {}, settings or {})
    found = None if schema is None else Description(4, Metric.COSINE, False, schema)
    return End(place, system, found, holds_named)


def verdicts(old: End, new: End) -> list[tuple[Verdict, str]]:
    return [(one.verdict, one.text) for one in compare(old, new)]


# -- a collection and the place that names it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vectors", "vector_name", "sparse_name", "said"),
    [
        ({"": DENSE}, "", "", None),
        ({"dense": DENSE}, "dense", "", None),
        ({"dense": DENSE, "image": IMAGE}, "dense", "", None),
        ({"dense": DENSE, "words": WORDS}, "dense", "words", None),
        ({"dense": DENSE, "words": WORDS}, "dense", "", None),
        ({"colbert": COLBERT}, "", "", None),
        ({"dense": DENSE}, "", "", "has the dense vector 'dense', and no vector ''"),
        ({"": DENSE}, "dense", "", "has the dense vector '', and no vector 'dense'"),
        ({"dense": DENSE, "image": IMAGE}, "text", "", "the dense vector 'image', and no vector 'text'"),
        ({"colbert": COLBERT}, "colbert", "", "has a multivector 'colbert': vector_name names a dense one"),
        ({"image": IMAGE}, "image", "", "has 8 dimensions, the configuration says 4"),
        (
            {"d": replace(DENSE, metric="manhattan")},
            "d",
            "",
            "has the metric manhattan, the configuration says cosine",
        ),
        ({"dense": DENSE}, "dense", "words", "no sparse vector 'words', which sparse_name names"),
        (
            {"dense": DENSE, "image": IMAGE},
            "dense",
            "image",
            "no sparse vector 'image', which sparse_name names",
        ),
    ],
)
def test_a_place_names_a_dense_and_a_sparse_vector_that_its_collection_has(
    vectors: Vectors, vector_name: str, sparse_name: str, said: str | None
) -> None:
    side = end(vectors, vector_name=vector_name, sparse_name=sparse_name)
    assert side.schema is not None
    problems = unfit(side.place, side.schema)
    assert (len(problems) == 1 and said in problems[0]) if said else problems == []


# -- two collections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict", "said"),
    [
        ({"image": IMAGE}, {"image": IMAGE}, None, ""),
        (
            {"image": IMAGE},
            {},
            Verdict.REFUSED,
            "dense vector 'image': the new collection has none of that name",
        ),
        ({"colbert": COLBERT}, {}, Verdict.REFUSED, "multivector 'colbert': the new collection has none"),
        (
            {"image": IMAGE},
            {"image": COLBERT},
            Verdict.REFUSED,
            "kind dense vector on the old side, multivector",
        ),
        (
            {"image": IMAGE},
            {"image": replace(IMAGE, size=9)},
            Verdict.REFUSED,
            "size 8 on the old side, 9 on the new",
        ),
        (
            {"image": IMAGE},
            {"image": replace(IMAGE, metric="manhattan")},
            Verdict.REFUSED,
            "metric dot on the old side",
        ),
        (
            {"words": WORDS},
            {"words": replace(WORDS, scoring="")},
            Verdict.REFUSED,
            "scoring idf on the old side, none",
        ),
        (
            {"image": IMAGE},
            {"image": HALF},
            Verdict.TRANSLATED,
            "float32 on the old side, float16 on the new",
        ),
        (
            {"image": HALF},
            {"image": IMAGE},
            Verdict.TRANSLATED,
            "float16 on the old side, float32 on the new",
        ),
        ({"image": BYTES}, {"image": IMAGE}, Verdict.REFUSED, "uint8 on the old side, float32 on the new"),
        ({"image": BYTES}, {"image": BYTES}, None, ""),
        ({"image": TURBO}, {"image": TURBO}, Verdict.REFUSED, "turbo4 may not give back what it was given"),
        ({}, {"image": IMAGE}, Verdict.HARMLESS, "'image' is on the new side only"),
    ],
)
def test_each_vector_is_carried_as_it_is_or_the_move_is_refused(
    ours: Vectors, theirs: Vectors, verdict: Verdict | None, said: str
) -> None:
    found = verdicts(end({"dense": DENSE, **ours}), end({"dense": DENSE, **theirs}))
    if verdict is None:
        assert found == []
    else:
        assert any(one is verdict and said in text for one, text in found), found


def test_the_vectors_that_the_placements_name_may_be_called_otherwise_on_each_side() -> None:
    old = end({"dense": DENSE, "words": WORDS}, sparse_name="words")
    new = end({"": DENSE, "bm25": WORDS}, vector_name="", sparse_name="bm25")
    assert verdicts(old, new) == []
    without = end({"": DENSE, "bm25": replace(WORDS, scoring="")}, vector_name="", sparse_name="bm25")
    assert [one for one, _ in verdicts(old, without)] == [Verdict.REFUSED]


def test_a_cluster_that_holds_no_others_than_its_own_takes_no_tenant_that_has_some() -> None:
    pinecone = end(None, cluster="p", system="pinecone", holds_named=False)
    assert verdicts(end({"dense": DENSE}), pinecone) == []
    ((verdict, text),) = verdicts(end({"dense": DENSE, "image": IMAGE}), pinecone)
    assert verdict is Verdict.REFUSED
    assert text == "the dense vector 'image' of collection 'docs': cluster 'p' cannot hold it"


def test_a_collection_that_is_not_there_is_made_like_the_old_one_if_all_of_that_is_known() -> None:
    old = end({"dense": DENSE, "image": IMAGE}, settings={"hnsw_config.m": 32})
    assert [one for one, _ in verdicts(old, end(None))] == [Verdict.CARRIED]
    unknown = end({"dense": DENSE}, settings={"teleport_config.speed": 9})
    (_, (verdict, text)) = verdicts(unknown, end(None))
    assert verdict is Verdict.REFUSED
    assert "teleport_config.speed, which this version of shardroute does not know" in text


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "verdict"),
    [
        ("hnsw_config.m", 16, 16, None),
        ("hnsw_config.m", 16, 32, Verdict.HARMLESS),
        ("vectors.image.hnsw_config.m", 16, None, Verdict.HARMLESS),
        ("quantization_config.scalar.type", "int8", None, Verdict.HARMLESS),
        ("params.replication_factor", 2, 1, Verdict.HARMLESS),
        ("strict_mode_config.max_query_limit", None, 100, Verdict.HARMLESS),
        ("teleport_config.speed", 9, 9, Verdict.HARMLESS),
        ("teleport_config.speed", 9, None, Verdict.REFUSED),
        ("teleport_config.speed", None, 9, Verdict.REFUSED),
    ],
)
def test_a_setting_that_differs_is_said_and_an_unknown_one_is_named_and_not_taken_for_equal(
    name: str, ours: object, theirs: object, verdict: Verdict | None
) -> None:
    sides = (
        end({"dense": DENSE}, settings={name: value} if value is not None else {}) for value in (ours, theirs)
    )
    found = verdicts(*sides)
    assert [one for one, _ in found] == ([] if verdict is None else [verdict])
    assert all(name in text for _, text in found)


def test_payload_indexes_are_carried_and_those_of_another_kind_are_said() -> None:
    old = end({"dense": DENSE}, indexes={"lang": "keyword", "year": "integer"})
    new = end({"dense": DENSE}, indexes={"lang": "text", "more": "bool"})
    assert verdicts(old, new) == [
        (Verdict.HARMLESS, "the index on payload field 'lang': keyword on the old side, text on the new"),
        (Verdict.CARRIED, "the index on payload field 'year' is made on the new side"),
    ]


def test_records_agree_as_exactly_as_both_sides_keep_their_numbers() -> None:
    exact = precision(end({"dense": DENSE}), end({"dense": DENSE}))
    assert (exact.vector, exact.sparse, exact.of("image")) == (FLOAT32_TOLERANCE,) * 3
    rough = precision(
        end({"dense": DENSE, "image": IMAGE}),
        end({"dense": replace(DENSE, datatype="float16"), "image": HALF}),
    )
    assert (rough.vector, rough.sparse, rough.of("image")) == (
        FLOAT16_TOLERANCE,
        FLOAT32_TOLERANCE,
        FLOAT16_TOLERANCE,
    )
