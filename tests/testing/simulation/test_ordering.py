"""What overtook what, as the simulation finds it."""

from __future__ import annotations

from sagakit.core.commit import Commit, Delivery, Envelope, Fence
from sagakit.stores.memory import MemoryData
from sagakit.testing.simulation.ordering import Ordering


def handled(*sent: tuple[str, int, int], lanes: str = "") -> list[str]:
    """What is found where these were handled in this order: each with when it was sent and acknowledged."""
    ordering = Ordering()
    for number, (id, *times) in enumerate(sent, 1):
        ordering.sent[id] = times[0], times[1]
        lane = lanes[number - 1] if lanes else "k"
        ordering.wrote(Commit(deliveries=[Delivery(Envelope(id, "command", "t", b"", "s", 0), "c", lane, id=number)]))
    for number in range(1, len(sent) + 1):
        ordering.wrote(Commit(done=[Fence(number, 1)]))
    return list(ordering.audit(MemoryData()))


def test_what_was_acknowledged_before_comes_first() -> None:
    assert not handled(("one", 0, 10), ("two", 11, 20))
    (found,) = handled(("two", 11, 20), ("one", 0, 10))
    assert found.startswith("two overtook one in lane c k")


def test_what_was_sent_side_by_side_has_no_order() -> None:
    assert not handled(("two", 5, 20), ("one", 0, 10))


def test_nor_have_different_lanes() -> None:
    assert not handled(("two", 11, 20), ("one", 0, 10), lanes="ab")


def test_it_is_found_over_what_lies_between() -> None:
    found = handled(("three", 30, 40), ("between", 0, 50), ("one", 0, 10))
    assert len(found) == 1
