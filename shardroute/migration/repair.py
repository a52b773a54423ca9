"""Making both sides equal: all that differs, within bounds, and what a migrator without its lock may have written."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import LossRefused, SuspectsDiffer, VerificationFailed
from ..phases import EFFECTS, Side
from ..shardmap import Standing
from .debt import Payer
from .verifier import Verification, Verifier
from .work import Work

_BATCH = 1000
_CATCH_UP = 15.0  # seconds that debt is chased while writes keep making new debt
_ROUNDS = 3

Suspects = Sequence[tuple[Side, str]]


def catch_up(work: Work, standing: Standing) -> float:
    """Seconds for paying debt outside of a hold; where reads lag, time for several rounds."""
    return _CATCH_UP + _ROUNDS * work.pair(standing)[0].store.lag


async def verify_and_repair(
    work: Work, standing: Standing, *, accept_loss: int, spare: Collection[str] = ()
) -> Verification:
    """Compares all; what differs becomes debt, is paid, and compared once more. But for the ids to `spare`.

    Raises VerificationFailed; LossRefused, if the secondary would lose too much.
    """
    verifier = Verifier(work, standing)
    result = await verifier.verify()
    for record_id in spare:
        result.forget(record_id)
    differing = list(result.differing)
    if not differing:
        return result
    _refuse_excessive_loss(work, standing, result, accept_loss)
    for start in range(0, len(differing), _BATCH):
        await work.plane.journal.mark(work.tenant, work.shard, differing[start : start + _BATCH])
    work.step("differences marked")
    await Payer(work, standing).pay(catch_up(work, standing))
    after = await verifier.look_again(differing, Verification())
    if after.differing:
        raise VerificationFailed(work.tenant, len(after.differing), after.examples())
    return result


def _refuse_excessive_loss(work: Work, standing: Standing, found: Verification, accepted: int) -> None:
    loss = found.loss
    if not loss.excessive(work.config.migration.repair_share, accepted):
        return
    raise LossRefused(
        work.tenant,
        EFFECTS[standing.phase].primary.other,
        deleted=len(loss.deleted),
        replaced=len(loss.replaced),
        held=loss.held,
        differences=found.examples(),
    )


async def settle_suspects(work: Work, standing: Standing, *, trust: Side | None, to: Side) -> frozenset[str]:
    """Looks at what a migrator may have written after it lost its lock; the ids that stay as the other side has them.

    Where that is the secondary now, it is debt. Where it is the primary, both sides are compared: what is equal, and no
    debt, is suspected no longer. Of what differs the primary may be wrong, so it is the caller who says which side to
    `trust`: the primary, and its records are brought to the other side; the other one, if reads go there next (`to`)
    and none of the records is debt. Raises SuspectsDiffer otherwise. On one cluster there is nothing to compare, and
    `trust` alone ends the suspicion.
    """
    suspects = await work.plane.journal.suspects(work.tenant)
    primary = EFFECTS[standing.phase].primary
    here = [suspect for suspect in suspects if suspect[0] is primary]
    await _acquit(work, [s for s in suspects if s not in here], debt=not EFFECTS[standing.phase].settled)
    if not here:
        return frozenset()
    if EFFECTS[standing.phase].settled:
        await _acquit(work, here if trust is primary else [], debt=False)
        return frozenset()
    await work.barrier(standing)
    ids = [record_id for _, record_id in here]
    found = await Verifier(work, standing).look_again(ids, Verification())
    await _acquit(work, [s for s in here if s[1] in found.equal], debt=False)
    left = [s for s in here if s[1] not in found.equal]
    if left and trust is primary:
        await _acquit(work, left, debt=True)
        await Payer(work, standing).pay(catch_up(work, standing))
        return frozenset()
    unclear = [record_id for _, record_id in left if record_id not in found.differing]
    if unclear or (left and (trust is not primary.other or trust is not to)):
        raise SuspectsDiffer(work.tenant, primary, found.differing, unclear)
    return frozenset(record_id for _, record_id in left)


async def _acquit(work: Work, suspects: Suspects, *, debt: bool) -> None:
    if suspects:
        await work.plane.journal.acquit(work.tenant, work.fence, suspects, debt=debt)
        work.step("suspects settled")
