"""What a worker owns: live, being taken over, being handed over; and what is not its any more."""

from __future__ import annotations

from sagakit.core.cluster.members import Claim
from sagakit.engine.workers.owning.ownership import Ownership
from sagakit.engine.workers.owning.takeover import Takeover

HOME = ("board", 3)


def test_a_partition_is_leased_from_its_claim_until_it_was_given() -> None:
    owned = Ownership(lambda delivery: delivery.consumer)
    seen = [owned.is_leased(HOME)]
    owned.take([HOME], Takeover([Claim("board", 3, True)]))
    seen.append(owned.is_leased(HOME))
    owned.taken(*HOME)
    seen.append(owned.is_leased(HOME))
    owned.hand_over({"board": {3}})
    seen.append(owned.is_leased(HOME))
    owned.gave(*HOME)
    assert [*seen, owned.is_leased(HOME)] == [False, True, True, True, False]


def test_where_others_write_for_this_worker_is_told_anew_when_it_changes() -> None:
    ownership = Ownership(lambda delivery: delivery.consumer)
    ownership.read_beside(("beside",))
    changes = (
        lambda: ownership.take([("board", 1), ("board", 2)], Takeover([])),
        lambda: ownership.taken("board", 1),
        lambda: ownership.hand_over({"board": {1}}),
        lambda: ownership.taken("board", 2),
    )
    told = []
    for change in changes:
        change()
        told.append(ownership.arriving())
        assert ownership.arriving() is told[-1], "as long as nothing changes it is not made again"
    both, left = {"board": {1, 2}, "beside": {1, 2}}, {"board": {2}, "beside": {2}}
    assert told == [both, both, left, left]
