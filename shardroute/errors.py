"""One small tree of errors.

Every error says whether trying again can help (`retryable`) and, where that is known, in how many
seconds (`retry_after`). Errors of a vendor's client are translated in its store, `raise … from`.
What others say is cut here (`truncation`), so that no translation can forget it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .truncation import quoted

_LISTED = 20
"""Records that the message of an error names."""


class ShardrouteError(Exception):
    """Root of every error that shardroute raises on purpose."""

    retryable: bool = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross processes (executors, task queues) whatever their own arguments are."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[ShardrouteError], args: tuple[object, ...], state: dict[str, object]
) -> ShardrouteError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidInput(ShardrouteError, ValueError):
    """The caller passed something that no cluster should see. Nothing was written."""


class InvalidTenant(InvalidInput):
    """A tenant name with characters that are not allowed, or of the wrong length."""


class UnknownTenant(InvalidTenant):
    """A request does not say for which tenant it is, or the application knows no tenant of that name."""


class InvalidRecord(InvalidInput):
    """An id, vector or metadata value that cannot be stored."""


class InvalidFilter(InvalidInput):
    """A filter that is not in the dialect; `path` says where, e.g. ``$and[1].year.$near``."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(f"{path or 'filter'}: {message}")
        self.path = path


class NotCovered(ShardrouteError):
    """A facade was asked for what its vendor's client can do and the facade cannot; the message names the call."""


class ConfigError(ShardrouteError):
    """The configuration does not make sense; the message names the key."""


class Unavailable(ShardrouteError):
    """Something on the network did not answer. Trying again can help."""

    retryable = True


class ClusterUnavailable(Unavailable):
    """A cluster did not answer in time, refused the connection or answered 5xx.

    `may_land`: there was no answer to a request that was sent, so it may still take effect.
    """

    def __init__(
        self, cluster: str, message: str, *, retry_after: float | None = None, may_land: bool = True
    ) -> None:
        super().__init__(f"cluster {cluster!r}: {quoted(message)}", retry_after=retry_after)
        self.cluster = cluster
        self.may_land = may_land


class RateLimited(ClusterUnavailable):
    """A cluster answered that it has had too many requests (429)."""

    def __init__(self, cluster: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(cluster, message, retry_after=retry_after, may_land=False)


class ClusterRejected(ShardrouteError):
    """A cluster understood a request and refused it (4xx): trying again cannot help.

    `about`: what about, in words of ours that quote nobody; "" where that is not known.
    """

    about = ""

    def __init__(self, cluster: str, message: str) -> None:
        super().__init__(f"cluster {cluster!r}: {quoted(message)}")
        self.cluster = cluster


class TenantBreach(ClusterRejected):
    """A cluster answered with a record of another tenant: the answer is thrown away. Always an alarm."""


class EncoderUnavailable(Unavailable):
    """An encoder failed, or did not answer in time. Nothing was sent to the cluster that the vectors are for."""

    def __init__(self, encoder: str, message: str) -> None:
        super().__init__(f"encoder {encoder!r}: {quoted(message)}")
        self.encoder = encoder


class EncoderMismatch(ShardrouteError):
    """An encoder gave vectors of another number or dimension than it should, or no vectors at all."""

    def __init__(self, encoder: str, message: str) -> None:
        super().__init__(f"encoder {encoder!r}: {quoted(message)}")
        self.encoder = encoder


class ControlPlaneUnavailable(Unavailable):
    """Redis did not answer, or answered with an error. It is asked again, whatever it was: nothing ends by it.

    `code`: of Redis's error, as `OOM`; "" where nothing was answered. `refused`: it will not end by itself, and the
    message says what has to be changed.
    """

    def __init__(self, message: str, *, code: str = "", refused: bool = False) -> None:
        super().__init__(quoted(message))
        self.code = code
        self.refused = refused


class TenantHeld(Unavailable):
    """Writes of the tenant are held for a cut-over and the deadline came first. Nothing was written."""


class LeaseLost(Unavailable):
    """This process could not prove that its view of the map is current. Nothing was sent to a cluster."""


class OutcomeUnknown(Unavailable):
    """A write was sent, and nobody can tell whether it took effect: read before you decide what to do.

    Trying again is for the caller to decide: others may have read this write, and have written since.
    """


class MapLost(ShardrouteError):
    """The map in Redis is missing, has another incarnation or went backwards (rule 13).

    Writing stops until an operator restores the map: absence is never read as "all tenants are old".
    """


class MigrationError(ShardrouteError):
    """Root of what can stop an admin verb. The tenant stays in a phase from which everything goes on."""


class TenantHasData(MigrationError):
    """A tenant that was to be declared new has records on a cluster. Nothing was declared, and it is served as before.

    `cluster`: which one. `crossed`: whether that is the new one.
    """

    def __init__(self, tenant: str, cluster: str, *, crossed: bool) -> None:
        what = (
            f"has records on the new cluster {cluster!r} already. If they are leftovers of a move that was given up, "
            f"`shardroute purge {tenant}` deletes them"
            if crossed
            else f"is no new tenant: it has records on cluster {cluster!r}. `shardroute migrate {tenant}` moves it"
        )
        super().__init__(f"tenant {tenant!r} {what}. Nothing was declared.")
        self.cluster = cluster
        self.crossed = crossed


class VerbRefused(MigrationError):
    """The tenant's phase does not allow the verb; the message names the phase and the verb that fits."""


class PreflightFailed(MigrationError):
    """Something would go wrong, found before anything was written. `problems` lists all of it."""

    def __init__(self, tenant: str, problems: Sequence[str]) -> None:
        listing = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"tenant {tenant!r} cannot be moved yet:{listing}")
        self.problems = tuple(problems)


class VerificationFailed(MigrationError):
    """Records differ between the two clusters after repair. `differences` lists the first of them."""

    def __init__(self, tenant: str, count: int, differences: Sequence[str]) -> None:
        listing = "".join(f"\n  - {difference}" for difference in differences)
        super().__init__(f"tenant {tenant!r}: {count} records differ between the clusters:{listing}")
        self.count = count
        self.differences = tuple(differences)


class LossRefused(MigrationError):
    """A repair would delete or replace more records of a side than it may unasked.

    `count`: how many, of `held` that the side has. `differences` lists the first of them.
    """

    def __init__(
        self, tenant: str, side: str, *, deleted: int, replaced: int, held: int, differences: Sequence[str]
    ) -> None:
        listing = "".join(f"\n  - {difference}" for difference in differences)
        count = deleted + replaced
        super().__init__(
            f"tenant {tenant!r}: to make its {side} side equal to the side that is read, a repair would delete "
            f"{deleted} and replace {replaced} of the {held} records there. Nothing was repaired. If the side that is "
            f"read is right, `--accept-loss {count}` goes ahead; if the {side} side is, keep it as it is and see "
            f"'A repair that asks' in docs/operations.md. The first of them:{listing}"
        )
        self.count = count
        self.held = held
        self.differences = tuple(differences)


class PurgeRefused(MigrationError):
    """The side that a purge would empty has records that the side that stays lacks, or has with fewer vectors.

    `count`: how many, of `held` that would go.
    """

    def __init__(
        self, tenant: str, kept: str, *, missing: int, lesser: int, held: int, examples: Sequence[str]
    ) -> None:
        listing = "".join(f"\n  - {example}" for example in examples)
        count = missing + lesser
        super().__init__(
            f"tenant {tenant!r}: a purge would delete {held} records, of which the {kept} side, where the tenant is, "
            f"lacks {missing}, and has {lesser} with fewer vectors. Nothing was deleted. If that is on purpose, "
            f"`--accept-loss {count}` goes ahead; if not, bring them over first. The first of them:{listing}"
        )
        self.count = count
        self.held = held


class SuspectsDiffer(MigrationError):
    """A migrator that had lost its lock may have written records of the primary, and the other side has them otherwise.

    `differing`: ids, and how the sides differ. `unclear`: ids of which neither side is known to be right, as they are
    debt or being written too.
    """

    def __init__(self, tenant: str, side: str, differing: Mapping[str, str], unclear: Sequence[str]) -> None:
        found = [f"{record_id!r}: {what}" for record_id, what in sorted(differing.items())]
        found += [f"{record_id!r}: debt, or being written" for record_id in sorted(unclear)]
        listing = "".join(f"\n  - {line}" for line in found[:_LISTED])
        trust = f"`verify --repair --trust {side}` brings the records of the {side} side to the other"
        ways = []
        if differing:
            ways.append(
                f"{len(differing)} of them differ, and the other side is likelier right. If it is, cross to it with "
                f"`--trust`; if the {side} side is, {trust}."
            )
        if unclear:
            ways.append(
                f"Of {len(unclear)} the newest value may be on neither side, as they are debt or being written too. "
                f"Write them again from their source; then {trust}."
            )
        super().__init__(
            f"tenant {tenant!r}: a migrator that was stopped may have written records to the {side} side, the one that "
            f"is read, after it had lost the tenant's lock. {' '.join(ways)} See 'Suspects' in docs/operations.md. "
            f"The first of them:{listing}"
        )
        self.differing = dict(differing)
        self.unclear = tuple(unclear)


class GateFailed(MigrationError):
    """What was seen of the new cluster is not good enough for crossing. `broken`: each gate, found value and limit."""

    def __init__(self, tenant: str, broken: Sequence[str], *, hint: str = "") -> None:
        listing = "".join(f"\n  - {gate}" for gate in broken)
        super().__init__(
            f"tenant {tenant!r} stays on its old cluster, by the gates:{listing}\n"
            f"{hint}`migrate` judges it again; `--no-gates` takes it across all the same."
        )
        self.broken = tuple(broken)


class TenantLocked(MigrationError):
    """Somebody else moves this tenant at the moment."""

    retryable = True

    def __init__(self, tenant: str, owner: str, retry_after: float) -> None:
        super().__init__(
            f"tenant {tenant!r} is held by {owner}; its lock runs out in {retry_after:.1f} s unless renewed",
            retry_after=retry_after,
        )
        self.owner = owner


class LockLost(MigrationError):
    """The tenant's lock ran out or was taken over while working: this migrator must stop."""

    retryable = True


class MoveRefused(MigrationError):
    """Redis refused a move between phases; `reason` is the code of the rule that was not met."""

    retryable = True

    def __init__(self, tenant: str, reason: str, detail: str = "") -> None:
        super().__init__(f"tenant {tenant!r}: move refused: {reason}{f' ({detail})' if detail else ''}")
        self.reason = reason


class BarrierTimeout(MigrationError):
    """Some sessions did not acknowledge the map in time; `sessions` names them."""

    retryable = True

    def __init__(self, tenant: str, version: int, sessions: Sequence[str]) -> None:
        super().__init__(
            f"tenant {tenant!r}: not acknowledged map version {version}: {', '.join(sessions)}. "
            "`shardroute doctor` shows them; evict one that you know is dead."
        )
        self.sessions = tuple(sessions)


_QUOTING = (
    ClusterRejected,
    ClusterUnavailable,
    EncoderMismatch,
    EncoderUnavailable,
    LossRefused,
    PurgeRefused,
    SuspectsDiffer,
    VerificationFailed,
)
"""Errors whose words may be those of others, who quote what they were sent."""


def for_log(error: BaseException) -> str:
    """How `error` is told to an operator: what happened and where, without what a tenant wrote or asked."""
    name = type(error).__name__
    if not isinstance(error, ShardrouteError):
        return name
    if not isinstance(error, _QUOTING):
        return f"{name}: {error}"
    where = getattr(error, "cluster", None) or getattr(error, "encoder", None)
    cause = error.__cause__
    about = getattr(error, "about", "")
    return "".join(
        (
            name,
            f" of {where!r}" if where else "",
            f" ({about})" if about else "",
            f", by {type(cause).__name__}" if cause else "",
        )
    )
