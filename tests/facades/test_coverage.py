"""What a facade takes is what its vendor's client takes; the rest is refused by name."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Any

import pytest
from pinecone import AsyncIndex
from pinecone.errors.exceptions import (
    ApiError,
    PineconeError,
    PineconeValueError,
    RateLimitError,
    ServiceError,
)
from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from shardroute import NotCovered, Router
from shardroute.errors import (
    ClusterRejected,
    ClusterUnavailable,
    InvalidFilter,
    InvalidRecord,
    MapLost,
    RateLimited,
    ShardrouteError,
    TenantHeld,
)
from shardroute.facades import _pinecone_base, _qdrant_base
from shardroute.facades.pinecone import RoutedIndex
from shardroute.facades.qdrant import RoutedClient
from shardroute.facades.recognised import Twins, recognised

PAIRS: list[tuple[type, type]] = [(RoutedIndex, AsyncIndex), (RoutedClient, AsyncQdrantClient)]
PINECONE, QDRANT = _pinecone_base.TWINS, _qdrant_base.TWINS


def _public(kind: type) -> dict[str, Any]:
    return {
        name: getattr(kind, name)
        for name in dir(kind)
        if not name.startswith("_") and callable(getattr(kind, name))
    }


COVERED = [(theirs, facade, name) for facade, theirs in PAIRS for name in _public(facade)]


@pytest.mark.parametrize(
    ("theirs", "facade", "name"), COVERED, ids=[f"{kind.__name__}.{name}" for kind, _, name in COVERED]
)
def test_a_covered_method_has_the_arguments_and_defaults_of_the_vendors(
    theirs: type, facade: type, name: str
) -> None:
    assert _arguments(getattr(facade, name)) == _arguments(getattr(theirs, name))


def _arguments(method: Any) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults. `**kwargs` is left out: Qdrant's client refuses whatever comes in it."""
    return [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(method).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def _uncovered() -> list[tuple[type, str]]:
    return [
        (facade, name)
        for facade, theirs in PAIRS
        for name in sorted(_public(theirs).keys() - _public(facade).keys())
    ]


@pytest.mark.parametrize(("facade", "name"), _uncovered(), ids=str)
async def test_a_method_that_is_not_covered_is_refused_by_its_name(
    router: Router, facade: type, name: str
) -> None:
    made = _made(facade, router)
    with pytest.raises(NotCovered, match=rf"\.{name} is not covered by {facade.__name__}"):
        getattr(made, name)
    assert not hasattr(made, name)


@pytest.mark.parametrize("facade", [RoutedIndex, RoutedClient])
async def test_what_the_vendor_does_not_have_either_is_no_attribute(router: Router, facade: type) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'") as raised:
        _ = _made(facade, router).nonsense
    assert not isinstance(raised.value, NotCovered)


def _made(facade: type, router: Router) -> Any:
    return RoutedIndex(router) if facade is RoutedIndex else RoutedClient(router.tenant("acme"), "docs")


@pytest.mark.parametrize(
    ("module", "absent"), [("pinecone", "qdrant_client"), ("qdrant", "pinecone"), ("", "pinecone")]
)
def test_a_facade_needs_its_own_vendors_client_only(module: str, absent: str) -> None:
    name = f"shardroute.facades.{module}".rstrip(".")
    program = f"import sys; sys.modules[{absent!r}] = None; import {name}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


# -- errors


@pytest.mark.parametrize(
    ("twins", "error", "theirs", "attributes"),
    [
        (PINECONE, InvalidRecord("no"), PineconeValueError, {"message": "no"}),
        (PINECONE, InvalidFilter("no", path="a.$b"), PineconeValueError, {"path": "a.$b"}),
        (PINECONE, RateLimited("a", "no", retry_after=2.5), RateLimitError, {"status_code": 429, "retry_after": 2.5}),
        (PINECONE, ClusterUnavailable("a", "no"), ServiceError, {"status_code": 503, "may_land": True}),
        (PINECONE, TenantHeld("no"), ServiceError, {"status_code": 503, "retryable": True}),
        (PINECONE, ClusterRejected("a", "no"), ApiError, {"status_code": 400, "cluster": "a"}),
        (PINECONE, MapLost("no"), PineconeError, {"message": "no"}),
        (QDRANT, InvalidRecord("no"), UnexpectedResponse, {"status_code": 400}),
        (QDRANT, RateLimited("a", "no", retry_after=2.5), ResourceExhaustedResponse, {"retry_after_s": 3}),
        (QDRANT, ClusterUnavailable("a", "no"), ResponseHandlingException, {"may_land": True}),
        (QDRANT, ClusterRejected("a", "no"), UnexpectedResponse, {"status_code": 400}),
        (QDRANT, MapLost("no"), ApiException, {}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",  # the same in every process of xdist
)  # fmt: skip
def test_an_error_is_ours_and_the_vendors_at_once(
    twins: Twins, error: ShardrouteError, theirs: type[Exception], attributes: dict[str, Any]
) -> None:
    with pytest.raises(type(error)) as raised, recognised(twins):
        raise error from KeyError("the vendor's own")
    found = raised.value
    assert isinstance(found, theirs)
    assert str(found) == str(error)
    assert type(found).__name__ == type(error).__name__
    assert found.retryable is error.retryable
    assert isinstance(found.__cause__, KeyError)
    assert {name: getattr(found, name) for name in attributes} == attributes


def test_what_a_vendor_says_of_a_refusal_can_be_read_as_its_client_reads_it() -> None:
    with pytest.raises(UnexpectedResponse) as raised, recognised(QDRANT):
        raise ClusterRejected("a", "no such thing")
    assert raised.value.structured() == {"status": {"error": "cluster 'a': no such thing"}}


def test_an_error_goes_to_another_process_as_ours() -> None:
    with pytest.raises(RateLimited) as raised, recognised(PINECONE):
        raise RateLimited("a", "no", retry_after=2.5)
    restored = pickle.loads(pickle.dumps(raised.value))
    assert type(restored) is RateLimited
    assert (str(restored), restored.retry_after) == ("cluster 'a': no", 2.5)


def test_a_call_that_is_not_covered_is_never_taken_for_one_that_failed() -> None:
    with pytest.raises(NotCovered) as raised, recognised(PINECONE):
        raise NotCovered("no")
    assert not isinstance(raised.value, PineconeError)
