"""`upsert(batch_size=…)`: batches side by side, failures collected as Pinecone's SDK collects them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TypeAlias

from pinecone import Vector
from pinecone.models.batch import BatchError
from pinecone.models.response_info import ResponseInfo
from pinecone.models.vectors.responses import UpsertResponse

from ..errors import InvalidInput, ShardrouteError
from ..records import Record
from ._pinecone_answers import again

Given: TypeAlias = tuple[Vector, Record]
"""A vector as the SDK has it, and the record that it is."""

_MOST_AT_ONCE = 64  # the SDK's own limit of max_concurrency


async def in_batches(
    vectors: Sequence[Given],
    upsert: Callable[[Sequence[Given]], Awaitable[None]],
    *,
    size: int,
    concurrency: int,
    total_timeout: float | None,
) -> UpsertResponse:
    """What landed and what did not. Raises InvalidInput for numbers that make no sense, and nothing else of ours.

    After `total_timeout` seconds no batch is begun; those under way are waited for.
    """
    _check(size, concurrency, total_timeout)
    batches = [vectors[start : start + size] for start in range(0, len(vectors), size)]
    ends = None if total_timeout is None else monotonic() + total_timeout
    free = asyncio.Semaphore(concurrency)

    async def one(number: int, batch: Sequence[Given]) -> BatchError | None:
        async with free:
            if ends is not None and monotonic() >= ends:
                late = TimeoutError(f"total_timeout of {total_timeout:g} s is over")
                return _failed(number, batch, late, "unsent", retryable=True)
            try:
                await upsert(batch)
            except ShardrouteError as error:
                return _failed(number, batch, error, "rejected", retryable=error.retryable)
        return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, batch)) for number, batch in enumerate(batches)]
    return _summed(len(vectors), [task.result() for task in tasks])


def _check(size: int, concurrency: int, total_timeout: float | None) -> None:
    if size < 1:
        raise InvalidInput(f"batch_size is {size}; it must be 1 or more")
    if not 1 <= concurrency <= _MOST_AT_ONCE:
        raise InvalidInput(f"max_concurrency is {concurrency}; it must be from 1 to {_MOST_AT_ONCE}")
    if total_timeout is not None and total_timeout <= 0:
        raise InvalidInput(f"total_timeout is {total_timeout:g}; it must be above 0")


def _failed(
    number: int, batch: Sequence[Given], error: Exception, disposition: str, *, retryable: bool
) -> BatchError:
    return BatchError(
        batch_index=number,
        items=[again(vector) for vector, _ in batch],
        error=error,
        error_message=str(error),
        disposition=disposition,
        retryable=retryable,
    )


def _summed(total: int, outcomes: Sequence[BatchError | None]) -> UpsertResponse:
    errors = [outcome for outcome in outcomes if outcome is not None]
    lost = sum(len(error.items) for error in errors)
    return UpsertResponse(
        upserted_count=total - lost,
        response_info=ResponseInfo(),
        total_item_count=total,
        failed_item_count=lost,
        total_batch_count=len(outcomes),
        successful_batch_count=len(outcomes) - len(errors),
        failed_batch_count=len(errors),
        errors=errors,
    )
