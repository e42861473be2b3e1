"""What a worker owns: live, being taken over, being handed over; and what is not its any more."""

from __future__ import annotations

from sagakit.core.commit import Delivery
from sagakit.engine.workers.owning.ownership import Ownership

HOME = ("board", 3)


class Taking:
    def leaves(self, delivery: Delivery, *, new: bool) -> bool:
        return True


def test_a_partition_is_leased_from_its_claim_until_it_was_given() -> None:
    owned = Ownership(lambda delivery: delivery.consumer)
    seen = [owned.is_leased(HOME)]
    owned.take([HOME], Taking())
    seen.append(owned.is_leased(HOME))
    owned.taken(*HOME)
    seen.append(owned.is_leased(HOME))
    owned.hand_over({"board": {3}})
    seen.append(owned.is_leased(HOME))
    owned.gave(*HOME)
    assert [*seen, owned.is_leased(HOME)] == [False, True, True, True, False]
