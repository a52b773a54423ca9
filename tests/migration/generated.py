"""Collections drawn from a seed: which vectors, indexes and tenants an application may have, and where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from qdrant_client import models

NAMES = ("text", "image", "title")
SPARSE = ("words", "tags")
METRICS = {"Cosine": "cosine", "Dot": "dot", "Euclid": "euclidean", "Manhattan": "cosine"}
"""The topology's word for each; there is none for Manhattan, so another is drawn, which has to be refused."""
INDEXES = {
    "lang": models.PayloadSchemaType.KEYWORD,
    "year": models.PayloadSchemaType.INTEGER,
    "price": models.PayloadSchemaType.FLOAT,
    "ok": models.PayloadSchemaType.BOOL,
}
TENANCIES = ("payload:tenant", "payload:meta.tenant", "payload:org:integer", "collection")
TENANT, OTHER = "42", "43"


@dataclass(frozen=True)
class Made:
    """A collection: its vectors and sparse vectors by name. `dense` of one unnamed vector has the name ''."""

    dense: Mapping[str, models.VectorParams]
    sparse: Mapping[str, models.SparseVectorParams]

    @property
    def vectors_config(self) -> Any:
        return self.dense[""] if self.dense.keys() == {""} else self.dense


@dataclass(frozen=True)
class Case:
    """`new`: a collection that is there already, or None. `points`: of the tenant, and of another one."""

    old: Made
    new: Made | None
    tenancy: str
    vector_name: str
    sparse_name: str
    dimension: int
    metric: str
    indexes: Mapping[str, models.PayloadSchemaType]
    points: Sequence[models.PointStruct]

    @property
    def collection(self) -> str:
        return "docs-{tenant}" if self.tenancy == "collection" else "docs"

    @property
    def own(self) -> set[Any]:
        return {point.id for point in self.points if point.payload and point.payload["own"]}


def drawn(seed: int) -> Case:
    random = Random(seed)
    old = Made(_dense(random), {name: _sparse(random) for name in SPARSE if random.random() < 0.3})
    tenancy = random.choice(TENANCIES)
    plain = [name for name, params in old.dense.items() if params.multivector_config is None]
    vector_name = random.choice(plain) if plain else ""
    searched = old.dense.get(vector_name)
    return Case(
        old,
        random.choices([None, old, _altered(random, old)], [5, 3, 3])[0],
        tenancy,
        vector_name if random.random() < 0.95 else "nowhere",
        random.choice(["", *old.sparse]),
        2 if searched is None else searched.size,
        "cosine" if searched is None else METRICS[searched.distance.value],
        {name: kind for name, kind in INDEXES.items() if random.random() < 0.4},
        [_point(random, old, tenancy, number) for number in range(random.randrange(1, 14))],
    )


def _dense(random: Random) -> dict[str, models.VectorParams]:
    if random.random() < 0.3:
        return {"": _params(random, several=False)}
    names = random.sample(NAMES, random.randrange(1, 4))
    return {name: _params(random, several=random.random() < 0.3) for name in names}


def _params(random: Random, *, several: bool) -> models.VectorParams:
    comparator = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    return models.VectorParams(
        size=random.randrange(2, 5),
        distance=random.choices(list(models.Distance), [4, 3, 3, 1])[0],
        datatype=random.choice([None, None, None, *models.Datatype]),
        multivector_config=comparator if several else None,
        on_disk=random.choice([None, True]),
    )


def _sparse(random: Random) -> models.SparseVectorParams:
    return models.SparseVectorParams(modifier=random.choice([None, models.Modifier.IDF]))


def _altered(random: Random, made: Made) -> Made:
    """The same but for one thing: harmless or not."""
    dense, sparse, name = dict(made.dense), dict(made.sparse), random.choice(list(made.dense))
    params = dense[name]
    match random.randrange(5):
        case 0:
            dense[name] = params.model_copy(update={"size": params.size + 1})
        case 1:
            dense[name] = params.model_copy(update={"datatype": random.choice(list(models.Datatype))})
        case 2:
            dense[name] = params.model_copy(update={"on_disk": None if params.on_disk else True})
        case 3 if len(dense) > 1:
            del dense[name]
        case _:
            sparse = {name: _sparse(random) for name in sparse if random.random() < 0.7}
    return replace(made, dense=dense, sparse=sparse)


def _point(random: Random, made: Made, tenancy: str, number: int) -> models.PointStruct:
    own = number == 0 or tenancy == "collection" or random.random() < 0.8
    vectors: dict[str, Any] = {
        name: _vector(random, params) for name, params in made.dense.items() if random.random() < 0.85
    }
    for name in made.sparse:
        if random.random() < 0.6:
            indices = random.sample(range(50), 3)
            vectors[name] = models.SparseVector(
                indices=indices, values=[random.uniform(0.1, 2) for _ in indices]
            )
    payload = {
        "own": own,
        "lang": random.choice("abc"),
        "year": number,
        **_owner(tenancy, TENANT if own else OTHER),
    }
    plain = vectors.get("", {}) if made.dense.keys() == {""} and vectors.keys() <= {""} else vectors
    return models.PointStruct(id=number + 1, vector=plain, payload=payload)


def _vector(random: Random, params: models.VectorParams) -> Any:
    def numbers() -> list[float]:
        if params.datatype is models.Datatype.UINT8:
            return [float(random.randrange(1, 256)) for _ in range(params.size)]
        return [random.uniform(-1, 1) for _ in range(params.size)]

    return (
        numbers() if params.multivector_config is None else [numbers() for _ in range(random.randrange(1, 4))]
    )


def _owner(tenancy: str, tenant: str) -> dict[str, Any]:
    match tenancy:
        case "payload:tenant":
            return {"tenant": tenant}
        case "payload:meta.tenant":
            return {"meta": {"tenant": tenant, "more": 1}}
        case "payload:org:integer":
            return {"org": int(tenant)}
        case _:
            return {}
