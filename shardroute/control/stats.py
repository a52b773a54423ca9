"""What all processes saw of a tenant's two paths: counts by windows of time, the worst examples, recorded queries.

Statistics only, so nothing here may cost the map anything: every size is bounded, everything expires, and nothing is
read that is not asked for. What is added is one script, so one round trip. It is counted once or, if Redis did not
answer, once or not at all: never twice, because a batch that is sent again has the same name. After an error, what
was to be added is to be dropped.

All tenants together have a budget of bytes (`budget`): where it is used up, the oldest of whoever has most make room.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import numpy as np

from ..comparisons import Example, RecordedQuery, StatsWindow
from ..errors import InvalidInput
from ..phases import Phase
from ..statistics import Tally
from .budget import Budget
from .connection import Connections
from .scripts import Scripts, pairs

MOST_WINDOWS = 1000
"""Of one tenant, whatever the retention: of ten seconds each, two hours and three quarters of traffic."""

MOST_NAMES = 2000
"""In one tally, and in one window of all processes together. Ten times what a tally ordinarily has."""

MOST_LETTERS = 200
"""Of one name, and of an example's note."""

MOST_IDS = 50
"""Of each answer of an example; the first ones."""

MOST_BYTES = 1 << 18
"""Of one recorded query, as text: 20,000 dimensions and a large filter. A larger one is left out."""


class Stats:
    """All of it is per tenant. Every method raises ControlPlaneUnavailable. Durations in seconds."""

    def __init__(self, connections: Connections, scripts: Scripts, *, budget: int) -> None:
        """`budget`: bytes that all tenants' statistics together may take, of however many processes."""
        self._connections = connections
        self._scripts = scripts
        self._budget = Budget(scripts, budget)

    async def budget(self) -> int:
        """Bytes that all tenants' statistics together may take of this server."""
        return await self._budget.bytes()

    # -- counts ----------------------------------------------------------------------------------------------

    async def add(self, tenant: str, tally: Tally, *, window: float, retention: float) -> None:
        """Adds counts to the current window of time, by Redis's clock; an empty tally costs nothing.

        `window`: how long one is. `retention`: how long counts are kept, though never more than MOST_WINDOWS.
        A name that would be a window's 2001st is left out. Raises InvalidInput for a tally of more than 2,000
        names, or with one of more than 200 letters.
        """
        counts = {str(name): count for name, count in tally.counts.items() if count}
        if len(counts) > MOST_NAMES or any(len(name) > MOST_LETTERS for name in counts):
            raise InvalidInput(
                f"a tally has {len(counts)} names, the longest of {max(map(len, counts))} letters; at most "
                f"{MOST_NAMES} of {MOST_LETTERS} are counted"
            )
        if counts:
            limits = (MOST_WINDOWS, MOST_NAMES)
            await self._budget.spend(
                "tally", tenant, (uuid4().hex,), _ms(window), _ms(retention), *limits, json.dumps(counts)
            )

    async def windows(self, tenant: str, *, seconds: float | None = None) -> list[StatsWindow]:
        """Oldest first, those without counts left out. With `seconds`, those that reach into the last so many."""
        answer = await self._scripts.run("tallies", tenant, "" if seconds is None else _ms(seconds))
        return [_window(name, counts) for name, counts in pairs(answer).items()]

    # -- examples --------------------------------------------------------------------------------------------

    async def add_examples(
        self, tenant: str, examples: Sequence[Example], *, most: int = 20, retention: float
    ) -> None:
        """Keeps the `most` worst of these and those that are there, of equals the newest.

        `retention`: how long after the last one all are forgotten. Of each answer, the first MOST_IDS ids are kept.
        """
        if examples and most > 0:
            texts = [part for example in examples for part in (example.badness, _example_text(example))]
            await self._budget.spend("exemplify", tenant, (), most, _ms(retention), *texts)

    async def examples(self, tenant: str) -> list[Example]:
        """Worst first, of equals the newest first."""
        key, redis = self._scripts.keys.examples(tenant), self._connections.commands
        texts: Any = await self._scripts.ask(lambda: redis.zrange(key, 0, -1, desc=True))
        return [_example(text) for text in texts]

    # -- recorded queries ------------------------------------------------------------------------------------

    async def record(
        self, tenant: str, queries: Sequence[RecordedQuery], *, most: int, retention: float
    ) -> None:
        """Keeps the newest `most` of these, the newest last, and those that are there.

        `retention`: how long after the last one all are forgotten. Numbers of vectors become float32. A query that
        is larger than MOST_BYTES, or with a filter that is not JSON, is left out.
        """
        texts = [text for text in map(_query_text, queries[-most:]) if text] if most > 0 else []
        if texts:
            await self._budget.spend("record", tenant, (uuid4().hex,), most, _ms(retention), *texts)

    async def recorded(self, tenant: str) -> list[RecordedQuery]:
        """Oldest first."""
        key, redis = self._scripts.keys.recorded(tenant), self._connections.commands
        texts: Any = await self._scripts.ask(lambda: redis.lrange(key, 0, -1))
        return [_query(json.loads(text)) for text in texts]

    async def clear(self, tenant: str) -> None:
        """Forgets all of it."""
        await self._scripts.run("clear", tenant)


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _window(name: str, counts: str) -> StatsWindow:
    start, width = (int(part) / 1000 for part in name.split("/"))
    # Numbers of the script are doubles, written with 14 digits: from 10^14 on they have an exponent.
    whole = {name: int(count) for name, count in json.loads(counts).items()}
    return StatsWindow(start=start, seconds=width, tally=Tally(whole))


def _example_text(example: Example) -> str:
    """As JSON, the time first: of equally bad ones, Redis orders by the text."""
    values = {"at": example.at} | asdict(example)
    values["primary_ids"] = example.primary_ids[:MOST_IDS]
    values["other_ids"] = example.other_ids[:MOST_IDS]
    values["note"] = example.note[:MOST_LETTERS]
    return json.dumps(values)


def _example(text: str) -> Example:
    values = json.loads(text)
    for name in ("primary_ids", "other_ids"):
        values[name] = tuple(values[name])
    return Example(**values | {"phase": Phase(values["phase"])})


def _query_text(query: RecordedQuery) -> str | None:
    values = {
        "vector": None if query.vector is None else _packed(query.vector, "<f4"),
        "sparse": [_packed(query.sparse_indices, "<u4"), _packed(query.sparse_values, "<f4")],
        "top_k": query.top_k,
        "raw_filter": query.raw_filter,
        "text": query.text,
        "at": query.at,
        "extra": query.extra,
    }
    try:
        text = json.dumps(values, default=_plain)
    except (TypeError, ValueError):
        return None
    return text if len(text) <= MOST_BYTES else None


def _plain(value: object) -> Any:
    """What an application may put into a filter and JSON does not know: mappings of other kinds, numpy's numbers."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _query(values: dict[str, Any]) -> RecordedQuery:
    indices, weights = values.pop("sparse")
    vector = values.pop("vector")
    return RecordedQuery(
        vector=None if vector is None else _unpacked(vector, "<f4"),
        sparse_indices=_unpacked(indices, "<u4"),
        sparse_values=_unpacked(weights, "<f4"),
        **values,
    )


def _packed(numbers: Sequence[float], kind: str) -> str:
    return b64encode(np.asarray(numbers, dtype=kind).tobytes()).decode()


def _unpacked(text: str, kind: str) -> tuple[Any, ...]:
    return tuple(np.frombuffer(b64decode(text), dtype=kind).tolist())
