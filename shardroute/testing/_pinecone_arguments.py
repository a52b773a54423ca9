"""The command line of the Pinecone emulator."""

from __future__ import annotations

import argparse
import json

from shardroute.testing._pinecone_index import MISSING_NAMESPACE
from shardroute.testing._pinecone_log import Lag, Read
from shardroute.testing._pinecone_spec import IndexSpec

SWITCHES = {
    "positions": True,
    "ne-matches-missing": True,
    "missing-namespace-is-404": True,
    "sparse-needs-dotproduct": False,
}
"""What is on or off, and which of them it is unless told otherwise."""


def arguments_parser(description: str) -> argparse.ArgumentParser:
    """What ``python -m shardroute.testing.pinecone`` takes."""
    parser = argparse.ArgumentParser(prog="python -m shardroute.testing.pinecone", description=description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5080, help="0 picks a free one")
    parser.add_argument("--path", help="a directory to keep the data in; without it, in memory")
    parser.add_argument(
        "--index",
        type=_index,
        action="append",
        default=[],
        metavar="NAME:KIND:DIMENSION[:METRIC[:VECTOR_FIELD[:SPARSE_FIELD]]]",
        help="an index to make, of the kind vectors or documents; dimension 0 is none (sparse); repeatable",
    )
    parser.add_argument(
        "--schema",
        type=_schema,
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="an index to make, by the fields of its schema; repeatable",
    )
    for kind in Read:
        fallback = 0.0 if kind in (Read.SEARCH, Read.FETCH) else None
        more = "" if fallback == 0.0 else "; as fetches without it"
        parser.add_argument(
            f"--{kind}-lag", type=float, default=fallback, help=f"seconds; inf is never{more}"
        )
    parser.add_argument(
        "--replica-lag",
        type=float,
        action="append",
        metavar="SECONDS",
        help="a replica that is behind by so much more; reads go to them in turn; repeatable",
    )
    parser.add_argument("--api-key", help="the only key that is let in; without it any is")
    for switch, default in SWITCHES.items():
        parser.add_argument(f"--{switch}", action=argparse.BooleanOptionalAction, default=default)
    parser.add_argument(
        "--missing-namespace-message",
        default=MISSING_NAMESPACE,
        help="what is said of a namespace that does not exist; {namespace} is its name",
    )
    parser.add_argument(
        "--emptied-namespaces-go",
        action="store_true",
        help="a namespace without records is one that does not exist",
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    return parser


def lag_of(given: argparse.Namespace) -> Lag:
    """The lag that was asked for."""
    return Lag(
        **{read.value: getattr(given, f"{read}_lag") for read in Read}, replicas=given.replica_lag or (0.0,)
    )


def lag_arguments(lag: Lag) -> list[str]:
    """The arguments that ask for it."""
    kinds = [(f"--{read}-lag", getattr(lag, read)) for read in Read]
    pairs = [*kinds, *(("--replica-lag", seconds) for seconds in lag.replicas)]
    return [part for name, seconds in pairs if seconds is not None for part in (name, str(seconds))]


def _index(text: str) -> tuple[str, IndexSpec]:
    """``NAME:KIND:DIMENSION:METRIC[:VECTOR_FIELD[:SPARSE_FIELD]]``, as on the command line."""
    name, kind, dimension, *more = text.split(":")
    size, metric = int(dimension) or None, more[0] if more else "cosine"
    if kind == "vectors":
        return name, IndexSpec.vectors(size, metric)
    if kind != "documents":
        raise ValueError(f"an index is of vectors or of documents, not of {kind!r}")
    vector_field = more[1] if len(more) > 1 else "embedding"
    sparse_field = more[2] if len(more) > 2 else ""
    return name, IndexSpec.documents(size, metric, vector_field=vector_field, sparse_field=sparse_field)


def _schema(text: str) -> tuple[str, IndexSpec]:
    name, _, fields = text.partition("=")
    return name, IndexSpec(json.loads(fields))
