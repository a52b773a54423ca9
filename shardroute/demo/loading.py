"""Before the traffic: the corpus, and the shared records, are put on the old cluster through a router."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..clusters import connected
from ..config import Config
from ..records import Record
from ..router import Router
from .contents import loaded, written
from .corpus import Corpus, Document
from .evidence import Evidence
from .keys import LOADED, SHARED_UPDATED, written_documents
from .ledger import Attempt, Key, Verb


async def make_collection(config: Config) -> None:
    """What a deployment has had for long: the old cluster's collection. The new one's are made by the migration."""
    old = config.route.old
    async with connected({old.placement.cluster: config.clusters[old.placement.cluster]}) as stores:
        await stores[old.placement.cluster].prepare(old.place("any"))


async def load(router: Router, corpus: Corpus, workers: int) -> Evidence:
    """Loads all tenants; what was acknowledged of records that somebody writes later. The rest the audit knows."""
    evidence = Evidence()
    for tenant, documents in corpus.items():
        began = time.monotonic()
        await router.tenant(tenant).upsert(_records(tenant, documents))
        ended = time.monotonic()
        ids = [*SHARED_UPDATED, *(document.id for document in written_documents(workers, documents))]
        evidence.attempts += [
            Attempt(Key(tenant, record_id), Verb.UPSERT, LOADED, began, ended) for record_id in ids
        ]
    return evidence


def _records(tenant: str, documents: Sequence[Document]) -> list[Record]:
    shared = (written(tenant, record_id, documents, LOADED) for record_id in SHARED_UPDATED)
    return [*(loaded(tenant, document) for document in documents), *shared]
