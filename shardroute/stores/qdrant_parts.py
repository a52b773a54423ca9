"""Requests in parts: as many points at once as the collection takes, and as come back in time.

One part after the other, so that what was carried out is known when one fails: those before it. Nothing is under way
then but that one, and the error says whether it may still land.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

from qdrant_client import models

from ..errors import ClusterUnavailable, RateLimited
from ..permits import needed
from ..topology import Place
from .qdrant_errors import About, QdrantRejected
from .qdrant_limits import Count, Setting, bytes_of_answer
from .qdrant_points import Point, PointId
from .qdrant_requests import Guard, Requests
from .qdrant_sizes import Sizes

_Item = TypeVar("_Item")

_READ_TURN = 600.0  # whoever asks has a timeout of its own
_WRITE_TURN = 10.0  # a write under way holds up a move of its tenant
_AT_ONCE = 1.0  # seconds after which another attempt, in smaller parts, may be made


class Turn:
    """The time that the parts of one call may wait for a rate limit, in seconds."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    async def wait(self, error: RateLimited, *, first: bool) -> None:
        """Until the cluster takes more. Raises the error where it does not say when, or nothing was done yet.

        A call that began anew would ask for all of its parts again, which may be more than a bucket ever holds.
        """
        if first or error.retry_after is None or error.retry_after > self._left:
            raise error
        self._left -= error.retry_after
        await asyncio.sleep(error.retry_after)


class Parts:
    """The requests of one store that may be too large for one.

    `asks_late`: the client asks by itself before the last byte of each request whether it may still be sent.
    """

    def __init__(self, requests: Requests, sizes: Sizes) -> None:
        self._requests = requests
        self._sizes = sizes
        self.asks_late = False

    async def still_permitted(self) -> None:
        """Between two requests of one write (rules 4 and 12)."""
        permit = needed()
        if permit is not None and not self.asks_late:
            await permit.ask()

    # -- writes ----------------------------------------------------------------------------------------------

    async def upsert(self, place: Place, batch: Sequence[Point], guard: Guard) -> None:
        done, turn = 0, Turn(_WRITE_TURN)
        while done < len(batch):
            left, most = batch[done:] if done else batch, self._most(place, "upsert_records")
            for part in self._requests.parts(place, left, guard, self._sizes.batch, most):
                if done:
                    await self.still_permitted()
                try:
                    await self._requests.upsert(place, part, guard)
                except RateLimited as error:
                    await turn.wait(error, first=not done)
                    break
                except QdrantRejected as error:
                    await self._smaller(place, "upsert_records", len(part.points), error, len(part.body))
                    break
                done += len(part.points)

    async def each(
        self,
        place: Place,
        field: Count,
        items: Sequence[_Item],
        call: Callable[[Sequence[_Item]], Awaitable[object]],
    ) -> None:
        """Calls with as many of the items at once as there may be."""
        done, turn = 0, Turn(_WRITE_TURN)
        while done < len(items):
            part = items[done : done + self._most(place, field)]
            if done:
                await self.still_permitted()
            try:
                await call(part)
            except RateLimited as error:
                await self._ask(
                    place
                )  # of several operations in one request, each may have been let through alone
                await turn.wait(error, first=not done)
            except QdrantRejected as error:
                await self._smaller(place, field, len(part), error)
            else:
                done += len(part)

    # -- reads -----------------------------------------------------------------------------------------------

    async def retrieve(
        self, place: Place, ids: Sequence[PointId], *, payload: bool | list[str], vectors: bool
    ) -> list[models.Record]:
        found: list[models.Record] = []
        turn = Turn(_READ_TURN)
        whole = payload is True  # else a few bytes of each
        while ids:
            asked = self._most(place, "fetch_ids")
            some = ids[: self._sizes.page(place.collection, asked, vectors=vectors) if whole else asked]
            try:
                answer = await self._requests.retrieve(place, some, payload=payload, vectors=vectors)
            except QdrantRejected as error:
                await self._smaller(place, "fetch_ids", len(some), error)
                continue
            except RateLimited as error:
                await turn.wait(error, first=not found)
                continue
            except (ClusterUnavailable, asyncio.CancelledError):
                self._lost(place, len(some), vectors=vectors)
                raise
            if whole:
                self._arrived(place, answer, vectors=vectors)
            found += answer
            ids = ids[len(some) :]
        return found

    async def scroll(
        self, place: Place, own: models.Filter | None, offset: PointId | None, limit: int, *, vectors: bool
    ) -> tuple[list[models.Record], object]:
        """A page, which may be shorter than `limit`."""
        while True:
            most = min(limit, self._most(place, "scan_records"))
            asked = self._sizes.page(place.collection, most, vectors=vectors)
            try:
                held, following = await self._requests.scroll(place, own, offset, asked, vectors=vectors)
            except QdrantRejected as error:
                await self._smaller(place, "scan_records", asked, error)
                continue
            except RateLimited:
                raise
            except (ClusterUnavailable, asyncio.CancelledError):
                self._lost(place, asked, vectors=vectors)
                raise
            self._arrived(place, held, vectors=vectors)
            return held, following

    async def count(self, place: Place, own: models.Filter | None) -> int:
        """By pages of nothing but ids, where the collection does not count exactly."""
        count, offset, turn = 0, None, Turn(_READ_TURN)
        while True:
            asked = self._most(place, "scan_records")
            try:
                held, following = await self._requests.scroll(
                    place, own, offset, asked, payload=False, vectors=False
                )
            except QdrantRejected as error:
                await self._smaller(place, "scan_records", asked, error)
                continue
            except RateLimited as error:
                await turn.wait(error, first=not count)
                continue
            count += len(held)
            if following is None:
                return count
            offset = cast(PointId, following)

    # -- what is learned -------------------------------------------------------------------------------------

    def _most(self, place: Place, field: Count) -> int:
        return int(getattr(self._sizes.limits(place.collection), field))

    async def _smaller(
        self, place: Place, field: Count, sent: int, error: QdrantRejected, size: int = 0
    ) -> None:
        """Learns from a refusal how much to send instead. Raises it where less would be refused as well.

        Qdrant looks at every limit before it carries out anything, but for the rate of writes: each shard counts its
        own, and another may have taken its points. What may have been carried out is never sent again (rule 4), so that
        is raised as RateLimited. `size`: bytes of the body, where that is known.
        """
        if error.about is not About.TOO_LARGE:
            raise error
        if size and error.setting is Setting.MAX_REQUEST_SIZE:
            self._sizes.body_refused(size, str(error), several=sent > 1)
        elif sent > 1:
            info = await self._requests.info(place.collection)
            self._sizes.refused(place.collection, field, sent, info)
        if sent == 1:
            raise error
        if error.setting is Setting.WRITE_RATE_LIMIT:
            raise RateLimited(
                error.cluster, f"{error}: {sent} points at once", retry_after=_AT_ONCE
            ) from error

    async def _ask(self, place: Place) -> None:
        info = await self._requests.info(place.collection)
        if info is not None:
            self._sizes.told(place.collection, info)

    def _arrived(self, place: Place, points: Sequence[models.Record], *, vectors: bool) -> None:
        self._sizes.arrived(place.collection, len(points), bytes_of_answer(points), vectors=vectors)

    def _lost(self, place: Place, asked: int, *, vectors: bool) -> None:
        """Perhaps the answer was too large to come in time: the next one will be smaller."""
        self._sizes.lost(place.collection, asked, vectors=vectors)
