"""One tree of errors, and what each says about trying again."""

from __future__ import annotations

import inspect
import pickle

import pytest

from shardroute import errors
from shardroute.errors import (
    BarrierTimeout,
    ClusterRejected,
    ClusterUnavailable,
    InvalidFilter,
    InvalidInput,
    MigrationError,
    MoveRefused,
    PreflightFailed,
    RateLimited,
    ShardrouteError,
    TenantHasData,
    TenantLocked,
    VerificationFailed,
)

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == errors.__name__
]
RETRYABLE = {
    "Unavailable", "ClusterUnavailable", "RateLimited", "ControlPlaneUnavailable", "TenantHeld", "LeaseLost",
    "TenantLocked", "LockLost",
    "OutcomeUnknown", "MoveRefused", "BarrierTimeout", "EncoderUnavailable",
}  # fmt: skip


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_in_one_tree_and_says_what_it_means(kind: type[Exception]) -> None:
    assert issubclass(kind, ShardrouteError)
    assert kind.__doc__


@pytest.mark.parametrize("kind", TREE)
def test_an_error_is_retryable_where_trying_again_can_help(kind: type[ShardrouteError]) -> None:
    assert kind.retryable is (kind.__name__ in RETRYABLE)


@pytest.mark.parametrize("kind", [kind for kind in TREE if issubclass(kind, InvalidInput)])
def test_bad_input_is_a_value_error_too(kind: type[Exception]) -> None:
    assert issubclass(kind, ValueError)


def test_an_error_may_say_when_to_try_again() -> None:
    assert ShardrouteError("no").retry_after is None
    assert ClusterUnavailable("blue", "no", retry_after=1.5).retry_after == 1.5


@pytest.mark.parametrize(
    ("error", "message", "attributes"),
    [
        (InvalidFilter("unknown", path="a.$near"), "a.$near: unknown", {"path": "a.$near"}),
        (InvalidFilter("not an object", path=""), "filter: not an object", {"path": ""}),
        (ClusterUnavailable("blue", "gone"), "cluster 'blue': gone", {"cluster": "blue"}),
        (RateLimited("blue", "429", retry_after=2), "cluster 'blue': 429", {"retry_after": 2}),
        (ClusterRejected("blue", "no"), "cluster 'blue': no", {"cluster": "blue", "retryable": False}),
        (
            PreflightFailed("acme", ["one", "two"]),
            "tenant 'acme' cannot be moved yet:\n  - one\n  - two",
            {"problems": ("one", "two")},
        ),
        (
            VerificationFailed("acme", 70, ["doc-1: vector"]),
            "tenant 'acme': 70 records differ between the clusters:\n  - doc-1: vector",
            {"count": 70, "differences": ("doc-1: vector",)},
        ),
        (
            TenantLocked("acme", "pod-7", 4.25),
            "tenant 'acme' is held by pod-7; its lock runs out in 4.2 s unless renewed",
            {"owner": "pod-7", "retry_after": 4.25},
        ),
        (MoveRefused("acme", "DEBT"), "tenant 'acme': move refused: DEBT", {"reason": "DEBT"}),
        (MoveRefused("acme", "DEBT", "3"), "tenant 'acme': move refused: DEBT (3)", {"reason": "DEBT"}),
        (
            TenantHasData("acme", "a", crossed=False),
            "tenant 'acme' is no new tenant: it has records on cluster 'a'. `shardroute migrate acme` moves it. "
            "Nothing was declared.",
            {"cluster": "a", "crossed": False},
        ),
        (
            BarrierTimeout("acme", 12, ["s1", "s2"]),
            "tenant 'acme': not acknowledged map version 12: s1, s2. "
            "`shardroute doctor` shows them; evict one that you know is dead.",
            {"sessions": ("s1", "s2")},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_says_it_in_words_and_in_attributes(
    error: ShardrouteError, message: str, attributes: dict[str, object]
) -> None:
    assert str(error) == message
    assert {name: getattr(error, name) for name in attributes} == attributes


@pytest.mark.parametrize("kind", TREE)
def test_what_stops_an_admin_verb_is_a_migration_error_and_nothing_else_is(kind: type[Exception]) -> None:
    stops_a_verb = {
        "MigrationError", "VerbRefused", "PreflightFailed", "VerificationFailed", "TenantLocked", "LockLost",
        "MoveRefused", "BarrierTimeout", "GateFailed", "TenantHasData", "LossRefused", "PurgeRefused",
        "SuspectsDiffer",
    }  # fmt: skip
    assert issubclass(kind, MigrationError) is (kind.__name__ in stops_a_verb)


@pytest.mark.parametrize(
    "error",
    [
        ClusterUnavailable("a", "down", retry_after=2.0, may_land=False),
        InvalidFilter("unknown", path="$and[0]"),
        TenantLocked("acme", "somebody", 3.0),
        PreflightFailed("acme", ["one", "two"]),
    ],
)
def test_errors_survive_the_way_to_another_process(error: ShardrouteError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
