"""What a process has learned of how much a Qdrant cluster takes and gives at once, collection by collection."""

from __future__ import annotations

from dataclasses import replace

from qdrant_client import models

from ..ports import Limits
from .qdrant_limits import LIMITS, Count, PageSize, after_refusal, bytes_named, limits_of

_ENVELOPE = 4096
"""Bytes of a body around its points: a filter, a shard key."""

_REMEMBERED = 4096
"""Collections that are told apart; beyond that it is learned anew. With a collection for each tenant there are many."""


class Sizes:
    """Limits that the collection says, that the cluster's refusals show, and that answers which came suggest.

    `largest`: bytes of the largest body that the cluster takes, as far as that is known.
    """

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self._batch = LIMITS.upsert_bytes
        self._limits: dict[str, Limits] = {}
        self._pages: dict[tuple[str, bool], PageSize] = {}

    @property
    def point(self) -> int:
        """Bytes of the largest point."""
        return self.largest - _ENVELOPE

    @property
    def batch(self) -> int:
        """Bytes that a body of several points should have at most."""
        return min(self._batch, self.largest)

    def limits(self, collection: str) -> Limits:
        return self._limits.get(collection, LIMITS)

    def told(self, collection: str, info: models.CollectionInfo) -> None:
        """The collection was asked for its settings."""
        self._keep(collection, limits_of(info.config.strict_mode_config))

    def refused(
        self, collection: str, field: Count, sent: int, info: models.CollectionInfo | None = None
    ) -> None:
        """So many points at once were too many. Whatever `info` says, it will be fewer."""
        found = self.limits(collection) if info is None else limits_of(info.config.strict_mode_config)
        if int(getattr(found, field)) >= sent:
            found = after_refusal(found, field, sent)
        self._keep(collection, found)

    def body_refused(self, sent: int, words: str, *, several: bool) -> None:
        """A body of so many bytes was too large. `several`: half of its points is worth a try."""
        if (named := bytes_named(words)) is not None and named < sent:
            self.largest = min(self.largest, named)
        elif several:
            self._batch = min(self._batch, sent // 2)
        else:
            self.largest = min(self.largest, sent - 1)

    def _keep(self, collection: str, limits: Limits) -> None:
        if len(self._limits) >= _REMEMBERED:
            self._limits.clear()
        self._limits[collection] = replace(limits, upsert_bytes=self.batch)

    # -- answers ---------------------------------------------------------------------------------------------

    def page(self, collection: str, wanted: int, *, vectors: bool) -> int:
        """For how many points to ask, so that the answer arrives."""
        return self._page(collection, vectors).of(wanted)

    def arrived(self, collection: str, points: int, size: int, *, vectors: bool) -> None:
        self._keep_page(collection, vectors, self._page(collection, vectors).arrived(points, size))

    def lost(self, collection: str, asked: int, *, vectors: bool) -> None:
        """No answer came: perhaps it was too large to come in time."""
        self._keep_page(collection, vectors, self._page(collection, vectors).failed(asked))

    def _page(self, collection: str, vectors: bool) -> PageSize:
        return self._pages.get((collection, vectors), PageSize())

    def _keep_page(self, collection: str, vectors: bool, page: PageSize) -> None:
        if len(self._pages) >= _REMEMBERED:
            self._pages.clear()
        self._pages[collection, vectors] = page
