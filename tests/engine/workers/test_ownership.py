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
