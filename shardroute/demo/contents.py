"""What the demo's records look like, and whether one is whole: owner, text and vector belong together."""

from __future__ import annotations

from collections.abc import Sequence

from ..records import Metric, Record, difference, same_vector
from .corpus import Document
from .encoder import encode
from .keys import LOADED, chosen


def loaded(tenant: str, document: Document) -> Record:
    """A document as it is loaded before the traffic begins."""
    return _record(tenant, document.id, document, LOADED)


def written(tenant: str, record_id: str, documents: Sequence[Document], version: int) -> Record:
    """What a worker upserts under this version."""
    return _record(tenant, record_id, chosen(documents, record_id, version), version)


def _record(tenant: str, record_id: str, document: Document, version: int) -> Record:
    metadata = {
        "owner": tenant,
        "module": document.module,
        "name": document.name,
        "kind": document.kind,
        "public": document.public,
        "lines": document.lines,
        "text": document.text,
        "version": version,
        "base": version,
    }
    return Record(record_id, encode(document.text), metadata)


def number(record: Record | None, field: str) -> int | None:
    """`version` or `base` of a record as it was read; None where there is none."""
    value = None if record is None else record.metadata.get(field)
    return int(value) if isinstance(value, (int, float)) else None


def flaw(tenant: str, record: Record, documents: Sequence[Document]) -> str | None:
    """In words what is wrong with a record, by its own base version; None if it is whole."""
    base = number(record, "base")
    if base is None:
        return "it has no base version"
    source = _loaded_as(record.id, documents) if base == LOADED else None
    expected = loaded(tenant, source) if source else written(tenant, record.id, documents, base)
    if record.vector is not None and not same_vector(record.vector, expected.vector, Metric.COSINE):
        return "its vector is not that of its text"
    metadata = {**expected.metadata, "version": record.metadata.get("version")}
    differs = difference(Record(record.id, record.vector, metadata), record, Metric.COSINE)
    return f"it differs in {differs}" if differs else None


def _loaded_as(record_id: str, documents: Sequence[Document]) -> Document | None:
    return next((document for document in documents if document.id == record_id), None)
