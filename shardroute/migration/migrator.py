"""Moves one tenant along the line of phases. Reads top to bottom; the rules are docs/protocol.md's.

Every step can be interrupted and done again: `run` looks where the tenant stands and goes on from there.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from aiolimiter import AsyncLimiter

from ..config import Config
from ..control import ControlPlane
from ..errors import (
    ConfigError,
    MigrationError,
    MoveRefused,
    PreflightFailed,
    ShardrouteError,
    SuspectsDiffer,
)
from ..phases import EFFECTS, VERBS, Phase, Side, check_arrived, check_verb, step_towards
from ..ports import Store
from ..routing import Sides
from ..shardmap import Standing
from .copier import Copier
from .debt import Payer
from .gatekeeper import Traffic, canary, pass_gates, set_canary, watch
from .observer import Observer, Silent
from .patience import Hit, Lock, Patience
from .preflight import Plan, end, examined
from .purge import empty
from .purge_check import refuse_loss
from .repair import catch_up, settle_suspects, verify_and_repair
from .spans import stage_span
from .verifier import Verification, Verifier
from .work import Work

_PAUSE = 0.002  # seconds before a refused move is tried again
_PASSING = frozenset({"STALE", "HOLD_OVER", "BARRIER", "TOKENS", "DEBT"})
"""Refusals that another try may not meet."""


@dataclass(slots=True)
class Options:
    """What a caller may choose.

    `verify`: compare every record before a cut-over; with `verify_synced`, of a copy made earlier as well (None: before
    a migration crosses, and not on the way back, which takes a moment).
    `empty`: move a tenant that has no records too. `gates`, `watch`: judge the traffic before and after a
    migration crosses, where the configuration says how. `canary`: before it crosses, the new cluster answers more
    and more of its reads, by the gates; without gates, ConfigError. `accept_loss`: so many records of the other side a
    repair may delete or replace, even if they are more than `migration.repair_share`. `trust`: which side is right
    where a migrator that had lost its lock may have written (SuspectsDiffer).
    """

    purge_target: bool = False
    verify: bool = True
    verify_synced: bool | None = None
    empty: bool = False
    gates: bool = True
    watch: bool = True
    canary: bool = False
    accept_loss: int = 0
    trust: Side | None = None


@dataclass(slots=True)
class Outcome:
    """What a verb did. `hold_seconds`: from the move into the hold to the move out of it, of each cut-over.

    `debt`: ids that are being written too fast to be brought to both sides for now.
    `judged`, `watched`: comparisons seen before and after the crossing; None where nobody looked.
    `rolled_back`: the watch took it back, because of the gates in `broken`; `rollback_seconds`: from seeing that until
    the old cluster served reads and writes again.
    """

    tenant: str
    verb: str
    phase: Phase = Phase.OLD
    copied: int = 0
    compared: int = 0
    repaired: int = 0
    debt: int = 0
    hold_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0
    judged: int | None = None
    watched: int | None = None
    rolled_back: bool = False
    broken: list[str] = field(default_factory=list)
    rollback_seconds: float | None = None


class Migrator:
    """Carries out verbs on tenants, one at a time per tenant."""

    def __init__(
        self,
        plane: ControlPlane,
        config: Config,
        stores: Mapping[str, Store],
        observer: Observer | None = None,
    ) -> None:
        self._plane = plane
        self._config = config
        self._stores = stores
        self.observer = observer or Silent()
        self._limiter = _limiter(config.copy.rate)
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    async def run(self, verb: str, tenant: str, options: Options | None = None) -> Outcome:
        """Takes the tenant to the verb's destination. Raises what `errors.MigrationError` roots, and Unavailable."""
        chosen = self._options(verb, options or Options())
        outcome, began = Outcome(tenant, verb), time.monotonic()
        with stage_span(f"shardroute.{verb}", tenant):
            async with self.working(tenant) as work:
                standing = await _undeclared(work)
                allowed = check_verb(verb, tenant, standing.phase)
                check_arrived(allowed, tenant, standing.phase, synced=standing.synced)
                destination = allowed.destination
                assert destination is not None, f"{verb} moves nothing"
                to = EFFECTS[destination].primary
                spare = await settle_suspects(work, standing, trust=chosen.trust, to=to)
                outcome.phase = await _Journey(work, destination, chosen, outcome, spare).travel(standing)
                if spare:
                    await _follow(work)
                if chosen.watch:
                    await _watched(work, outcome)
        outcome.seconds = time.monotonic() - began
        return outcome

    async def verify(
        self, tenant: str, *, repair: bool = False, accept_loss: int = 0, trust: Side | None = None
    ) -> Verification:
        """Compares both sides; with `repair`, differences are made debt, paid and looked at again.

        Raises LossRefused or SuspectsDiffer before it repairs anything, VerificationFailed afterwards. Of a
        tenant on one cluster nothing is compared: `trust` ends the suspicion of its records.
        """
        with stage_span("shardroute.verify", tenant):
            async with self.working(tenant) as work:
                standing = await work.standing()
                if trust is not None and EFFECTS[standing.phase].settled:
                    await settle_suspects(work, standing, trust=trust, to=trust)
                    return Verification()
                check_verb("verify", tenant, standing.phase)
                await _barrier(work, standing)
                try:
                    await settle_suspects(work, standing, trust=trust, to=EFFECTS[standing.phase].primary)
                except SuspectsDiffer:
                    if repair:
                        raise
                if not repair:
                    return await Verifier(work, standing).verify(search=True)
                return await verify_and_repair(work, standing, accept_loss=accept_loss)

    async def plan(self, tenant: str, *, purge_target: bool = False) -> Plan:
        """What stands against moving the tenant now, and what it would do. Changes nothing."""
        work = self._work(tenant, fence=0, lock=_NeverLocked())
        standing = await work.standing()
        check_verb("migrate", tenant, standing.phase)
        if not EFFECTS[standing.phase].settled:
            return Plan()
        source, target = work.pair(standing)
        return await examined(work, source, target, purge_target=purge_target, empty=False)

    async def purge(self, tenant: str, *, accept_loss: int = 0) -> int:
        """Deletes the tenant's records on the cluster that it is not on; how many there were.

        Raises PurgeRefused before, if the cluster that it is on lacks more of them than may be.
        """
        async with self.working(tenant) as work:
            standing = await work.standing()
            check_verb("purge", tenant, standing.phase)
            await _barrier(work, standing)
            kept, unused = work.pair(standing)
            await refuse_loss(work, kept, unused, accept_loss)
            return await empty(work, unused)

    async def repair(self, tenant: str) -> Outcome:
        """Finishes what is half-done without moving the tenant: overdue holds, tokens of the dead, debt."""
        outcome, began = Outcome(tenant, "repair"), time.monotonic()
        async with self.working(tenant) as work:
            await self._plane.maps.expire_hold(tenant, work.shard)
            standing = await work.standing()
            await _barrier(work, standing)
            if EFFECTS[standing.phase].dual:
                left = await Payer(work, standing).pay(catch_up(work, standing))
                if left.debt:
                    raise MigrationError(
                        f"tenant {tenant!r}: {left.debt} ids of debt are still being written"
                    )
            outcome.phase = standing.phase
        outcome.seconds = time.monotonic() - began
        return outcome

    def _options(self, verb: str, options: Options) -> Options:
        """What is left open, and gates and watch only for migrations, where there are any."""
        moving = verb == "migrate"
        if moving and options.canary and not (options.gates and self._config.gates.closed):
            raise ConfigError("a canary is judged by gates: set some in [gates], and leave `--no-gates` out")
        return replace(
            options,
            verify_synced=moving if options.verify_synced is None else options.verify_synced,
            gates=moving and options.gates and self._config.gates.closed,
            watch=moving and options.watch and self._config.watch.closed,
        )

    @asynccontextmanager
    async def working(self, tenant: str) -> AsyncIterator[Work]:
        """The tenant's lock, and what is needed to work on it. Raises TenantLocked, LockLost."""
        life, tell = self._config.migration.lock, partial(self.observer.waits, tenant)
        async with self._plane.locks.hold(tenant, self.owner, life=life, tell=tell) as lock:
            work = self._work(tenant, lock.fence, lock)
            work.step("locked")
            yield work

    def _work(self, tenant: str, fence: int, lock: Lock) -> Work:
        sides = Sides(tenant, self._config.route, self._stores)
        doubt = partial(self._noted_as_doubtful, tenant, sides.shard)
        return Work(
            tenant=tenant,
            fence=fence,
            sides=sides,
            plane=self._plane,
            config=self._config,
            observer=self.observer,
            # Rule 12: whoever takes the lock over waits a third of its life, so no request may take longer.
            patience=Patience(self._config.migration.lock / 3, self._config.router.linger, lock, doubt),
            limiter=self._limiter,
        )

    async def _noted_as_doubtful(self, tenant: str, shard: int, hit: Hit) -> None:
        """This process was stopped, and wrote although its lock was over: what it wrote is looked at again."""
        try:
            became = await self._plane.journal.doubt(tenant, shard, hit.side, hit.ids)
        except ShardrouteError as error:
            became = f"not noted: {error}"
        self.observer.waits(
            tenant,
            f"{len(hit.ids)} records were perhaps written to the {hit.side} side after the lock was over "
            f"({became}); `shardroute doctor` shows what is to be done",
        )


def _limiter(rate: float) -> AsyncLimiter | None:
    """One for all tenants of this process: `rate` records a second, in quarters of a second."""
    return AsyncLimiter(max(1.0, rate / 4), max(0.25, 1 / rate)) if rate else None


class _NeverLocked:
    """Of a plan, which writes nothing."""

    left = 0.0

    def check(self) -> None:
        raise AssertionError("a plan writes nothing")

    async def look(self) -> None:
        self.check()


class _Journey:
    """One verb on one tenant: from where it stands to the verb's destination."""

    def __init__(
        self,
        work: Work,
        destination: Phase,
        options: Options,
        outcome: Outcome,
        spare: Collection[str] = (),
    ) -> None:
        """`spare`: ids that no repair brings from the primary to the other side."""
        self._work = work
        self._spare = spare
        self._destination = destination
        self._options = options
        self._outcome = outcome
        self._held_since: float | None = None
        self._holds = 0
        self._judged = not options.gates
        # Whether the secondary's reads may lack what was paid: not known of a hold that another has begun.
        self._unseen = True

    async def travel(self, standing: Standing) -> Phase:
        while standing.phase is not self._destination:
            await _barrier(self._work, standing)
            to = step_towards(standing.phase, self._destination)
            await self._prepare(standing, to)
            before, standing = standing, await self._move(await self._work.standing(), standing, to)
            self._time_hold(EFFECTS[before.phase].held, EFFECTS[standing.phase].held)
        await _barrier(self._work, standing)
        return standing.phase

    # -- what has to be true before a move ----------------------------------------------------------------------

    async def _prepare(self, standing: Standing, to: Phase) -> None:
        now, then = EFFECTS[standing.phase], EFFECTS[to]
        kind = (
            "settled" if now.settled else "dual" if now.dual else "held",
            "held" if then.held else "other",
        )
        prepare = self._PREPARATIONS.get(kind)
        if prepare is not None:
            await prepare(self, standing)

    async def _before_dual(self, standing: Standing) -> None:
        work, options = self._work, self._options
        source, target = work.pair(standing)
        plan = await examined(work, source, target, purge_target=options.purge_target, empty=options.empty)
        if plan.problems:
            raise PreflightFailed(work.tenant, plan.problems)
        store, place, like = target.store, target.place, await end(work, source)
        await work.patience.write(store.name, lambda: store.prepare(place, like))
        work.step("target prepared")
        if options.purge_target:
            await empty(work, target)

    async def _before_hold(self, standing: Standing) -> None:
        """Copied, compared, and as good as no debt: the hold is then as short as the last of it."""
        work = self._work
        await self._rest(standing)
        if standing.canary and not self._judged:
            await set_canary(work, 0)  # of a run that was killed
        if not standing.synced:
            with stage_span("shardroute.copy", work.tenant):
                self._outcome.copied = await Copier(work, standing).copy()
            await work.plane.maps.mark_synced(work.tenant, work.shard, standing, fence=work.fence)
            work.step("synced")
        traffic = None if self._judged else await Traffic.from_now(work, work.config.gates)
        await Payer(work, standing).pay_most(catch_up(work, standing))
        wanted = self._options.verify and (self._options.verify_synced or not standing.synced)
        if wanted and not self._outcome.compared:
            with stage_span("shardroute.verification", work.tenant):
                verification = await verify_and_repair(
                    work, standing, accept_loss=self._options.accept_loss, spare=self._spare
                )
            self._outcome.compared, self._outcome.repaired = (
                verification.compared,
                len(verification.differing),
            )
            await Payer(work, standing).pay_most(catch_up(work, standing))
            if traffic is not None and verification.differing:  # what was seen before was not mended yet
                traffic = await Traffic.from_now(work, work.config.gates)
        if traffic is not None:
            await self._judge(traffic)
            await Payer(work, standing).pay_most(catch_up(work, standing))
        await self._show_what_was_paid(standing)

    async def _show_what_was_paid(self, standing: Standing) -> None:
        """Reads go to the secondary next, and must not go back in time: what was brought there has to be seen there.

        While one waits for that there is new debt, and what is paid of it has to be seen as well. Ids that are written
        all the time leave that to the hold.
        """
        secondary, before = self._work.pair(standing)[1], math.inf
        self._unseen = bool(secondary.store.lag)
        while self._unseen:
            await self._work.fresh(secondary)
            payer = Payer(self._work, standing)
            await payer.pay_most(catch_up(self._work, standing))
            self._unseen = payer.brought > 0
            if payer.brought >= before:
                return
            before = payer.brought

    async def _judge(self, traffic: Traffic) -> None:
        """Once, and not again before every try of the cut-over."""
        work, gates = self._work, self._work.config.gates
        with stage_span("shardroute.gates", work.tenant):
            judged = await pass_gates(work, gates, traffic)
            if self._options.canary:
                judged += await canary(work, gates)
        self._outcome.judged = judged
        self._judged = True

    async def _before_leaving_hold(self, standing: Standing) -> None:
        """No debt, no token; and what was paid here is seen on the side that reads go to."""
        work, loop = self._work, asyncio.get_running_loop()
        until = loop.time() + work.config.migration.max_hold
        payer = Payer(work, standing)
        await payer.pay(until - loop.time(), quiet=True)
        # Late by the secondary's lag is better than never: where the hold is too short for both, reads may go back.
        secondary, left = work.pair(standing)[1], until - loop.time()
        if (payer.brought or self._unseen) and secondary.store.lag < left:
            self._unseen = not await work.fresh(secondary, patience=left)

    _PREPARATIONS: Mapping[tuple[str, str], Callable[[_Journey, Standing], Awaitable[None]]] = {
        ("settled", "other"): _before_dual,
        ("dual", "held"): _before_hold,
        ("held", "held"): _before_leaving_hold,
    }

    async def _rest(self, standing: Standing) -> None:
        """Before another cut-over: if the last one ran out, what was in its way gets time to end."""
        attempts = self._work.config.migration.attempts
        if self._holds >= attempts:
            raise MigrationError(
                f"tenant {self._work.tenant!r}: {attempts} cut-overs did not end within "
                f"{self._work.config.migration.max_hold:g} s each; it stays where it was and may be tried again. "
                f"{self._in_the_way(standing)}"
            )
        if self._holds:
            await asyncio.sleep(min(0.2 * 2**self._holds, 5.0))

    def _in_the_way(self, standing: Standing) -> str:
        primary, hold = self._work.pair(standing)[0].store, self._work.config.migration.max_hold
        if primary.lag >= hold:
            return (
                f"Reads of cluster {primary.name!r} lag behind writes by up to {primary.lag:g} s, which the debt of a "
                "hold has to wait for: set migration.max_hold above it, or lag lower if you have measured it."
            )
        return "`shardroute doctor` shows what is in the way."

    # -- the move itself ---------------------------------------------------------------------------------------

    async def _move(self, current: Standing, standing: Standing, to: Phase) -> Standing:
        """Moves, or finds out where the tenant stands if somebody or the clock was in the way."""
        work = self._work
        if current.epoch == standing.epoch:
            try:
                await work.plane.maps.move(
                    work.tenant, work.shard, current, to, fence=work.fence,
                    max_hold=work.config.migration.max_hold,
                )  # fmt: skip
            except MoveRefused as refused:
                await self._after_refusal(refused)
            else:
                await work.plane.maps.wait_for_replicas(
                    work.config.control.replicas, work.config.control.timeout
                )
                work.step(f"moved to {to}")
        return await work.standing()

    async def _after_refusal(self, refused: MoveRefused) -> None:
        if refused.reason not in _PASSING:
            raise refused
        if refused.reason == "HOLD_OVER":
            await self._work.plane.maps.expire_hold(self._work.tenant, self._work.shard)
        await asyncio.sleep(_PAUSE)

    def _time_hold(self, before: bool, after: bool) -> None:
        """Holds that somebody else ended count as well."""
        if after and not before:
            self._held_since = time.monotonic()
            self._holds += 1
        elif before and not after and self._held_since is not None:
            self._outcome.hold_seconds.append(time.monotonic() - self._held_since)
            self._held_since = None


async def _watched(work: Work, outcome: Outcome) -> None:
    """After the crossing: if the traffic breaks a gate, back to the old cluster."""
    with stage_span("shardroute.watch", work.tenant):
        broken, seen = await watch(work, work.config.watch)
        outcome.watched = seen.compared
        if broken:
            outcome.broken = [str(breach) for breach in broken]
            began = time.monotonic()
            await _taken_back(work, outcome)
            outcome.rolled_back, outcome.rollback_seconds = True, time.monotonic() - began


async def _follow(work: Work) -> None:
    """After reads went to the side that was trusted: the other one gets its records."""
    standing = await work.standing()
    await settle_suspects(work, standing, trust=None, to=EFFECTS[standing.phase].primary)
    await Payer(work, standing).pay(catch_up(work, standing))


async def _taken_back(work: Work, outcome: Outcome) -> None:
    back = VERBS["rollback"].destination
    assert back is not None
    options = Options(verify_synced=False, gates=False)
    try:
        outcome.phase = await _Journey(work, back, options, outcome).travel(await work.standing())
    except ShardrouteError as error:
        raise MigrationError(
            f"tenant {work.tenant!r} has crossed, and its watch says: {'; '.join(outcome.broken)}. Going back failed; "
            f"`rollback` tries again: {error}"
        ) from error


async def _undeclared(work: Work) -> Standing:
    """Where the tenant stands. A declaration that nobody goes on with is ended here (rule 11); another is let alone."""
    standing = await work.standing()
    if not standing.declared:
        return standing
    if await work.plane.maps.expire_hold(work.tenant, work.shard) is None:
        raise MoveRefused(work.tenant, "DECLARED", "a process is declaring it new; try again in a moment")
    return await work.standing()


async def _barrier(work: Work, standing: Standing) -> None:
    await work.barrier(standing)
    work.step(f"barrier of {standing.phase}")
