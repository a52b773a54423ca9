"""Limits of a collection: strict mode and rates, as Qdrant 1.18 checks them.

From its source: lib/collection/src/operations/verification, lib/common/common/src/rate_limiting.rs. Sizes in bytes
and shares of memory and disk are kept and shown, and not checked: their use is an estimate in a real server.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from shardroute.testing._qdrant_errors import Refusal, bad_request
from shardroute.testing._qdrant_filters import conditions_of
from shardroute.testing._qdrant_indexes import first_unindexed

Json = dict[str, Any]
SECONDS = 60
SPARSE_UNIT = 64
"""Of a sparse query, so many of its numbers cost one token."""


def strict_refusal(error: str, solution: str) -> Refusal:
    return bad_request(f"{error}. Help: {solution}")


class StrictMode:
    """The checks of a collection's strict mode; without one, or if it is not enabled, none of them refuses.

    Args:
        config: `strict_mode_config`, if there is one.
        indexes: the payload indexes by field.
    """

    def __init__(self, config: Mapping[str, Any] | None, indexes: dict[str, Json]) -> None:
        self._config = config if config and config.get("enabled") else {}
        self._indexes = indexes

    def __getitem__(self, name: str) -> Any:
        """A setting, or None."""
        return self._config.get(name)

    def at_most(self, setting: str, value: float | None, name: str) -> None:
        """A number in a request."""
        limit = self[setting]
        if limit is not None and value is not None and value > limit:
            raise strict_refusal(
                f'Limit exceeded {value} > {limit} for "{name}"',
                f'Reduce the "{name}" parameter to or below {limit}.',
            )

    def reads(self, wanted: models.Filter | None) -> None:
        """A filter of what is read."""
        self._filter(wanted, "unindexed_filtering_retrieve")

    def writes(self, wanted: models.Filter | None) -> None:
        """A filter of what is changed."""
        self._filter(wanted, "unindexed_filtering_update")

    def exact(self, wanted: bool | None) -> None:
        """Whether everything may be looked at."""
        if self["search_allow_exact"] is False and wanted:
            raise strict_refusal("Exact search disabled!", "Set exact=false.")

    def parameters(self, wanted: models.SearchParams | None) -> None:
        """How a search is to be done."""
        if wanted is None:
            return
        quantization = wanted.quantization
        oversampling = None if quantization is None else quantization.oversampling
        self.at_most("search_max_oversampling", oversampling, "oversampling")
        self.at_most("search_max_hnsw_ef", wanted.hnsw_ef, "hnsw_ef")
        self.exact(wanted.exact)

    def timeout(self, given: str | None) -> None:
        """The `timeout` of a request, in seconds."""
        if given is not None and given.isdecimal():
            self.at_most("max_timeout", int(given), "timeout")

    def one_more_index(self) -> None:
        """Whether there may be another payload index."""
        limit = self["max_payload_index_count"]
        if limit is not None and len(self._indexes) >= limit:
            raise strict_refusal(
                f"Collection already has the maximum number of payload indices ({limit})",
                "Please delete an existing index before creating a new one.",
            )

    def more_points(self, count: int) -> None:
        """Whether there may be more points than there are."""
        limit = self["max_points_count"]
        if limit is not None and count >= limit:
            raise bad_request(f"Max points count limit of {limit} reached!")

    def vectors(self, vector: Any) -> None:
        """The sizes of sparse vectors and multivectors."""
        longest, most = self["sparse_config"] or {}, self["multivector_config"] or {}
        if not (longest or most):
            return
        for name, each in (vector if isinstance(vector, dict) else {"": vector}).items():
            if isinstance(each, models.SparseVector):
                _check_size(longest.get(name, {}).get("max_length"), "Sparse", name, len(each.indices))
            elif isinstance(each, list) and each and isinstance(each[0], list):
                _check_size(most.get(name, {}).get("max_vectors"), "Multi", name, len(each))

    def _filter(self, wanted: models.Filter | None, setting: str) -> None:
        if wanted is None:
            return
        if self[setting] is False and (found := first_unindexed(wanted, self._indexes)):
            key, kinds = found
            raise strict_refusal(
                f'Index required but not found for "{key}" of one of the following types: '
                f"[{', '.join(kinds)}]",
                "Create an index for this key or use a different filter.",
            )
        count, size = condition_count(wanted), _largest_condition(wanted)
        if (limit := self["filter_max_conditions"]) is not None and count > limit:
            raise strict_refusal(
                f"Filter condition limit reached ({count} > {limit})",
                "Reduce the amount of conditions of your filter.",
            )
        if (limit := self["condition_max_size"]) is not None and size > limit:
            raise strict_refusal(
                f"Condition size limit reached ({size} > {limit})", "Reduce the size of your condition."
            )


_WHAT = {"Sparse": ("Sparse vector", "indices"), "Multi": ("Multivector", "vectors")}


def _check_size(limit: int | None, kind: str, name: str, size: int) -> None:
    if limit is not None and size > limit:
        what, of = _WHAT[kind]
        raise bad_request(f"{what} '{name}' has a limit of {limit} {of}, but {size} were provided!")


def condition_count(wanted: models.Filter | None) -> int:
    """How many conditions there are, those in filters of a filter as well."""
    return 0 if wanted is None else sum(map(_count, conditions_of(wanted)))


def _count(condition: Any) -> int:
    inner = _inner(condition)
    return 1 if inner is None else condition_count(inner)


def _inner(condition: Any) -> models.Filter | None:
    if isinstance(condition, models.NestedCondition):
        return condition.nested.filter
    return condition if isinstance(condition, models.Filter) else None


def _largest_condition(wanted: models.Filter) -> int:
    return max(map(_size, conditions_of(wanted)), default=0)


def _size(condition: Any) -> int:
    if (inner := _inner(condition)) is not None:
        return _largest_condition(inner)
    if isinstance(condition, models.HasIdCondition):
        return len(condition.has_id)
    match = getattr(condition, "match", None)
    if isinstance(match, models.MatchAny):
        return len(match.any)
    return len(match.except_) if isinstance(match, models.MatchExcept) else 0


def query_cost(vectors: list[Any]) -> int:
    """What the vectors of a query cost to compare with."""
    return sum(map(_vector_cost, vectors))


def _vector_cost(vector: Any) -> int:
    if isinstance(vector, models.SparseVector):
        return math.ceil(len(vector.indices) / SPARSE_UNIT)
    is_multivector = isinstance(vector, list) and vector and isinstance(vector[0], list)
    return (
        len(vector) if is_multivector else 1
    )  # what is given by the id of its point is taken for a dense one


class Rate:
    """A bucket of tokens for a minute, full at first; requests that find too few are refused with 429.

    Args:
        what: ``"Read"`` or ``"Write"``.
        limit: tokens a minute, and at most at once. None is no limit.
        now: seconds on a monotonic clock.
    """

    def __init__(self, what: str, limit: int | None, now: float) -> None:
        self._what = what
        self._limit = limit
        self._tokens = float(limit or 0)
        self._at = now

    def take(self, cost: int, now: float) -> None:
        """Take tokens.

        Raises:
            Refusal: there are too few; if there can never be enough, without a `Retry-After`.
        """
        if self._limit is None:
            return
        exceeded = f"Rate limiting exceeded: {self._what} rate limit exceeded"
        if cost > self._limit:
            message = "request larger than rate limiter capacity, please try to split your request"
            raise Refusal(429, f"{exceeded}, {message}")
        each_second = self._limit / SECONDS
        self._tokens = min(float(self._limit), self._tokens + (now - self._at) * each_second)
        self._at = now
        if self._tokens < cost:
            seconds = math.ceil((cost - self._tokens) / each_second)
            raise Refusal(
                429,
                f"{exceeded}: Operation requires {cost} tokens but only {self._tokens:.1f} were "
                f"available. Retry after {seconds}s",
                {"retry-after": str(seconds)},
            )
        self._tokens -= cost
