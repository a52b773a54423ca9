"""What a collection is made of, as its vendor has it, and what a move from one to another carries. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from .records import FLOAT16_TOLERANCE, FLOAT32_TOLERANCE, Metric, Precision
from .topology import Place


class Kind(StrEnum):
    """Of a vector field."""

    DENSE = "dense vector"
    MULTI = "multivector"
    SPARSE = "sparse vector"


@dataclass(frozen=True, slots=True)
class VectorField:
    """`metric`: `records.Metric`'s word, or the vendor's where there is none; "" of a sparse one.

    `datatype`: what a component is kept as. `scoring`: what scores are made of beside the metric: the comparator of a
    multivector, the modifier of a sparse vector.
    """

    kind: Kind
    size: int | None = None
    metric: str = ""
    datatype: str = "float32"
    scoring: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """A collection as its vendor describes it.

    `indexes`: of payload fields, and what each is. `settings`: all else, by dotted name. `whole`: the vendor's own
    description, to make another collection like it.
    """

    system: str
    vectors: Mapping[str, VectorField]
    indexes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    whole: Mapping[str, Any] = field(default_factory=dict)


class Verdict(StrEnum):
    """What becomes of a difference between two collections."""

    CARRIED = "carried"  # the new side gets it as the old one has it
    TRANSLATED = "translated"  # it arrives in another form
    HARMLESS = "harmless"  # records and answers are the same
    REFUSED = "refused"  # something would be lost or change: nothing moves


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Verdict
    text: str


SETTINGS: Mapping[str, tuple[Verdict, str]] = {
    "*quantization_config*": (Verdict.HARMLESS, "approximate searches may find others"),
    "*hnsw_config.*": (Verdict.HARMLESS, "approximate searches may find others, in other time"),
    "sparse_vectors*index.*": (Verdict.HARMLESS, "it is about memory"),
    "*.on_disk": (Verdict.HARMLESS, "it is about memory"),
    "*.memory": (Verdict.HARMLESS, "it is about memory"),
    "params.on_disk_payload": (Verdict.HARMLESS, "it is about memory"),
    "params.payload*": (Verdict.HARMLESS, "it is about memory"),
    "params.id_tracker*": (Verdict.HARMLESS, "it is about memory"),
    "params.shard_number": (Verdict.HARMLESS, "it is about where points lie"),
    "params.sharding_method": (Verdict.HARMLESS, "it follows from the tenancy"),
    "params.replication_factor": (
        Verdict.HARMLESS,
        "it is about how many copies there are: see that it is what you want",
    ),
    "params.write_consistency_factor": (Verdict.HARMLESS, "it is about how many copies a write waits for"),
    "params.read_fan_out_*": (Verdict.HARMLESS, "it is about which copy answers"),
    "optimizer_config.*": (Verdict.HARMLESS, "it is about the work in the background"),
    "wal_config.*": (Verdict.HARMLESS, "it is about the log of writes"),
    "strict_mode_config.*": (
        Verdict.HARMLESS,
        "the new cluster may refuse requests that the old one takes, or take more",
    ),
    "metadata*": (Verdict.HARMLESS, "it is a note"),
}
"""What a difference in a setting means, by its name; the first pattern that fits counts."""


def meaning(name: str) -> tuple[Verdict, str] | None:
    """Of a setting; None where this version does not know it."""
    return next((said for pattern, said in SETTINGS.items() if fnmatchcase(name, pattern)), None)


def unfit(place: Place, schema: Schema) -> list[str]:
    """Why a place does not fit the collection that it names."""
    name = f"collection {place.collection!r} of cluster {place.cluster!r}"
    return [
        f"{name} {wrong}" for wrong in (*_dense_mismatch(place, schema), *_sparse_mismatch(place, schema))
    ]


def _dense_mismatch(place: Place, schema: Schema) -> Iterator[str]:
    found = schema.vectors.get(place.vector_name)
    dense = _names(schema, Kind.DENSE)
    if found is None and (dense or place.vector_name):
        yield (
            f"has {_listed(schema)}, and no vector {place.vector_name!r}: say with vector_name which of its dense "
            "vectors is searched; the others are carried as they are"
        )
    elif found is not None and found.kind is not Kind.DENSE:
        yield (
            f"has a {found.kind} {place.vector_name!r}: vector_name names a dense one; what it does not name "
            "is carried as it is"
        )
    elif found is not None and found.size != place.dimension:
        yield f"has {found.size} dimensions, the configuration says {place.dimension}"
    elif found is not None and found.metric != place.metric:
        yield f"has the metric {found.metric}, the configuration says {place.metric}"


def _sparse_mismatch(place: Place, schema: Schema) -> Iterator[str]:
    found = schema.vectors.get(place.sparse_name) if place.sparse_name else None
    if place.sparse_name and (found is None or found.kind is not Kind.SPARSE):
        yield f"has {_listed(schema)}, and no sparse vector {place.sparse_name!r}, which sparse_name names"


def _names(schema: Schema, kind: Kind) -> list[str]:
    return [name for name, found in schema.vectors.items() if found.kind is kind]


def _listed(schema: Schema) -> str:
    listed = ", ".join(f"the {found.kind} {name!r}" for name, found in sorted(schema.vectors.items()))
    return listed or "no vectors"


@dataclass(frozen=True, slots=True)
class Description:
    """What a cluster says of the collection behind a place; `schema`: all that it is, where the vendor tells."""

    dimension: int | None
    metric: Metric | None
    sparse: bool
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class End:
    """One end of a move. `found`: None where there is no such collection.

    `holds_named`: whether records there may have vectors that the place does not name. `encoded`: whether vectors are
    made there.
    """

    place: Place
    system: str
    found: Description | None
    holds_named: bool
    encoded: bool = False

    @property
    def schema(self) -> Schema | None:
        return None if self.found is None else self.found.schema


def alike(one: End, other: End) -> bool:
    """Whether two collections of a cluster are made in the same way."""
    ours, theirs = one.schema, other.schema
    if ours is None or theirs is None:
        return ours is theirs
    return (ours.vectors, ours.indexes, ours.settings) == (theirs.vectors, theirs.indexes, theirs.settings)


def compare(old: End, new: End) -> list[Finding]:
    """What a move from `old` to `new` does with all that the old collection has, and what else differs."""
    ours, theirs = old.schema, new.schema
    if ours is None:
        return []
    if not new.holds_named:
        return list(_too_many(old, ours, new))
    if new.found is None and new.system == ours.system:
        return list(_made_like(old, ours, new))
    if theirs is None:
        return []
    return [*_vectors(old, ours, new, theirs), *_indexes(ours, theirs), *_settings(ours, theirs)]


def _too_many(old: End, ours: Schema, new: End) -> Iterator[Finding]:
    for name, found in sorted(_others(old.place, ours).items()):
        yield Finding(
            Verdict.REFUSED,
            f"the {found.kind} {name!r} of collection {old.place.collection!r}: cluster {new.place.cluster!r} cannot "
            "hold it",
        )


def _made_like(old: End, ours: Schema, new: End) -> Iterator[Finding]:
    yield Finding(
        Verdict.CARRIED,
        f"collection {new.place.collection!r} is made like {old.place.collection!r}, with its indexes",
    )
    for option, value in sorted(new.place.create_options.items()):
        yield Finding(Verdict.HARMLESS, f"but for {option}, which create_options has as {value}")
    for name, found in sorted(ours.vectors.items()):
        yield from _precision(f"{found.kind} {name!r}", found, found)
    for name in sorted(ours.settings):
        if meaning(name) is None:
            yield Finding(
                Verdict.REFUSED,
                f"collection {old.place.collection!r} has the setting {name}, which this version of shardroute does "
                f"not know, so it cannot make another like it: make collection {new.place.collection!r} yourself",
            )


def _others(place: Place, schema: Schema) -> dict[str, VectorField]:
    """The vectors that the placement does not name."""
    named = {place.vector_name, place.sparse_name} if place.sparse_name else {place.vector_name}
    return {name: found for name, found in schema.vectors.items() if name not in named}


def _vectors(old: End, ours: Schema, new: End, theirs: Schema) -> Iterator[Finding]:
    there, others = _others(new.place, theirs), _others(old.place, ours)
    for name, found in sorted(others.items()):
        yield from _vector(f"{found.kind} {name!r}", found, there.get(name))
    mine, other = old.place.sparse_name, new.place.sparse_name
    if mine and other and mine in ours.vectors and other in theirs.vectors:
        yield from _vector(f"sparse vector {mine!r}", ours.vectors[mine], theirs.vectors[other])
    mine_dense, other_dense = (
        ours.vectors.get(old.place.vector_name),
        theirs.vectors.get(new.place.vector_name),
    )
    if mine_dense is not None and other_dense is not None and not new.encoded:
        yield from _precision(f"vector {old.place.vector_name!r}", mine_dense, other_dense)
    for name in sorted(there.keys() - others.keys()):
        yield Finding(
            Verdict.HARMLESS, f"the {there[name].kind} {name!r} is on the new side only: no record has it yet"
        )


def _vector(what: str, ours: VectorField, theirs: VectorField | None) -> Iterator[Finding]:
    if theirs is None:
        yield Finding(Verdict.REFUSED, f"{what}: the new collection has none of that name")
        return
    for part in ("kind", "size", "metric", "scoring"):
        mine, other = getattr(ours, part), getattr(theirs, part)
        if mine != other:
            yield Finding(
                Verdict.REFUSED,
                f"{what}: {part} {mine or 'none'} on the old side, {other or 'none'} on the new",
            )
    yield from _precision(what, ours, theirs)


_FLOATS = frozenset({"float32", "float16"})
_EXACT = _FLOATS | {"uint8"}
"""Datatypes that give back what they were given, or a rounding of it that does not change when it is given again."""


def _precision(what: str, ours: VectorField, theirs: VectorField) -> Iterator[Finding]:
    if unknown := {ours.datatype, theirs.datatype} - _EXACT:
        yield Finding(Verdict.REFUSED, f"{what}: {min(unknown)} may not give back what it was given")
        return
    if ours.datatype == theirs.datatype:
        return
    text = f"{what}: {ours.datatype} on the old side, {theirs.datatype} on the new"
    if {ours.datatype, theirs.datatype} <= _FLOATS:
        yield Finding(Verdict.TRANSLATED, f"{text}: components are rounded to 11 bits")
    else:
        yield Finding(Verdict.REFUSED, f"{text}: they do not come back as they were")


def _indexes(ours: Schema, theirs: Schema) -> Iterator[Finding]:
    for name, mine in sorted(ours.indexes.items()):
        other = theirs.indexes.get(name)
        if other is None:
            yield Finding(Verdict.CARRIED, f"the index on payload field {name!r} is made on the new side")
        elif other != mine:
            yield Finding(
                Verdict.HARMLESS,
                f"the index on payload field {name!r}: {mine} on the old side, {other} on the new",
            )


def _settings(ours: Schema, theirs: Schema) -> Iterator[Finding]:
    for name in sorted({*ours.settings, *theirs.settings}):
        mine, other = ours.settings.get(name), theirs.settings.get(name)
        text = f"{name}: {mine} on the old side, {other} on the new"
        said = meaning(name)
        if said is None:
            yield Finding(
                Verdict.REFUSED if mine != other else Verdict.HARMLESS,
                f"{text}; this version of shardroute does not know the setting",
            )
        elif mine != other:
            yield Finding(said[0], f"{text}: {said[1]}")


def precision(old: End, new: End) -> Precision:
    """How exactly two equal records agree, by what both sides keep of a number."""
    if old.schema is None or new.schema is None:
        return Precision()
    ours, theirs = old.schema.vectors, new.schema.vectors
    named = {name: _tolerance(found, theirs.get(name)) for name, found in ours.items()}
    return Precision(
        _tolerance(ours.get(old.place.vector_name), theirs.get(new.place.vector_name)),
        _tolerance(ours.get(old.place.sparse_name), theirs.get(new.place.sparse_name)),
        named,
    )


def _tolerance(*found: VectorField | None) -> float:
    halves = any(one is not None and one.datatype == "float16" for one in found)
    return FLOAT16_TOLERANCE if halves else FLOAT32_TOLERANCE
