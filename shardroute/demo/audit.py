"""The end of the run: every tenant is read once more, and held against everything that was acknowledged."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..phases import EFFECTS, Side
from ..records import Record
from ..router import Router
from ..tenant import Tenant
from .contents import flaw, number
from .corpus import Corpus, Document
from .evidence import Counts, Evidence, is_late
from .keys import LOADED, untouched
from .ledger import Fault, Finding, Key, Look, by_key, judge

_TRIES = 5  # to read a tenant
_EXAMPLES = 10  # of each kind of problem, in words


@dataclass(slots=True)
class Verdict:
    """What the audit found. `moved` counts tenants, `lost` and `resurrected` records.

    `looks`: how often a record was read and held against the writes that were acknowledged.
    `reasons`: how often what took too long was which error.
    """

    counts: Counts
    looks: int = 0
    moved: int = 0
    lost: int = 0
    resurrected: int = 0
    problems: list[str] = field(default_factory=list)
    reasons: Mapping[str, int] = field(default_factory=dict)


async def audit(router: Router, corpus: Corpus, workers: int, evidence: Evidence) -> Verdict:
    """Reads everything, adds what it sees to the evidence, and judges the whole of it."""
    ids: dict[str, list[str]] = {tenant: [] for tenant in corpus}
    for key in by_key(evidence.attempts):
        ids[key.tenant].append(key.id)
    for tenant, documents in corpus.items():
        foreign = [held[0].id for other, held in corpus.items() if other != tenant]
        await _Reading(router.tenant(tenant), documents, evidence).read(
            ids[tenant], untouched(workers, documents), foreign
        )
    return judged(evidence, moved=[tenant for tenant in corpus if on_new(router.tenant(tenant))])


def on_new(tenant: Tenant) -> bool:
    """Whether the tenant is read and written on the new cluster, by the router's map."""
    effect = EFFECTS[tenant.phase]
    return effect.primary is Side.NEW and not effect.held


class _Reading:
    """One tenant, read by id and as a whole."""

    def __init__(self, tenant: Tenant, documents: Sequence[Document], evidence: Evidence) -> None:
        self._tenant = tenant
        self._documents = documents
        self._evidence = evidence

    async def read(self, ids: Sequence[str], kept: Sequence[Document], foreign: Sequence[str]) -> None:
        """`ids` were written, `kept` never, `foreign` are of other tenants."""
        try:
            fetched, scanned, count = await self._read([*ids, *foreign])
        except Exception as error:
            self._evidence.unread(self._tenant.name, error)
            return
        for found in (fetched, scanned):
            self._note(ids, found)
            self._examine(found.values())
        self._check_kept(kept, scanned)
        self._check_extent(scanned, {*ids, *(document.id for document in kept)}, count)

    async def _read(self, ids: Sequence[str]) -> tuple[dict[str, Record], dict[str, Record], int]:
        """By id, as a whole, and the count; again while it takes too long, for nothing may go unread."""
        for left in reversed(range(_TRIES)):
            try:
                fetched = await self._tenant.fetch(ids)
                scanned = {record.id: record async for record in self._tenant.scan()}
                return fetched, scanned, await self._tenant.count()
            except Exception as error:
                if not (left and is_late(error)):
                    raise
        raise AssertionError("unreachable")  # the last attempt returns or raises

    def _note(self, ids: Iterable[str], found: dict[str, Record]) -> None:
        now = time.monotonic()
        for record_id in ids:
            record = found.get(record_id)
            versions = number(record, "version"), number(record, "base")
            self._evidence.looks.append(
                Look(Key(self._tenant.name, record_id), now, now, *versions, final=True)
            )

    def _examine(self, records: Iterable[Record]) -> None:
        name = self._tenant.name
        for record in records:
            if record.metadata.get("owner") != name:
                self._evidence.breach(f"{name} holds {record.id} of {record.metadata.get('owner')}")
            elif (what := flaw(name, record, self._documents)) is not None:
                self._evidence.flaw(f"{name}/{record.id}: {what}")

    def _check_kept(self, kept: Sequence[Document], scanned: dict[str, Record]) -> None:
        for document in kept:
            record = scanned.get(document.id)
            if record is None:
                self._evidence.flaw(f"{self._tenant.name}/{document.id}: nobody wrote it, and it is gone")
            elif number(record, "version") != LOADED:
                self._evidence.flaw(f"{self._tenant.name}/{document.id}: nobody wrote it, and it was changed")

    def _check_extent(self, scanned: dict[str, Record], known: set[str], count: int) -> None:
        for record_id in scanned.keys() - known:
            self._evidence.flaw(f"{self._tenant.name}/{record_id}: it is there, and nobody wrote it")
        if count != len(scanned):
            self._evidence.flaw(f"{self._tenant.name}: the count is {count}, the scan found {len(scanned)}")


def judged(evidence: Evidence, moved: Sequence[str] = ()) -> Verdict:
    """The evidence in figures, and in words where it is bad."""
    findings = list(judge(evidence.attempts, evidence.looks))
    resurrected = {finding.look.key for finding in findings if finding.fault is Fault.RESURRECTED}
    lost = {finding.look.key for finding in findings} - resurrected
    return Verdict(
        counts=evidence.counts,
        looks=len(evidence.looks),
        moved=len(moved),
        lost=len(lost) + evidence.counts.flaws,
        resurrected=len(resurrected),
        problems=_in_words(evidence, findings),
        reasons=evidence.reasons,
    )


def _in_words(evidence: Evidence, findings: Sequence[Finding]) -> list[str]:
    examples = evidence.examples
    of_keys = {finding.look.key: f"lost or brought back: {finding}" for finding in reversed(findings)}
    kinds = (
        [f"failed request: {what}" for what in examples.failed],
        list(reversed(of_keys.values())),
        [f"not whole: {what}" for what in examples.flaws],
        [f"isolation: {what}" for what in examples.breaches],
    )
    return [problem for kind in kinds for problem in kind[:_EXAMPLES]]
