"""The window of what is due next: bounded, in order, and without gaps, whatever is written while a page is read."""

from __future__ import annotations

import random
from bisect import bisect_right

import pytest

from sagakit.core.commit import Delivery, Envelope
from sagakit.engine.time.window import Window


def scheduled(id: int, due: int) -> Delivery:
    envelope = Envelope(f"m{id}", "event", "t.Woken", b"{}", "c", 0)
    return Delivery(envelope, "t.p", "t.p/1", id, state="scheduled", due_at=due)


def window(size: int = 4) -> Window:
    return Window(lambda delivery: delivery.consumer != "nobody", size)


def read(window: Window, *deliveries: Delivery, limit: int = 4) -> None:
    after = window.begin()
    page = sorted(((one.due_at, one.id), one) for one in deliveries if (one.due_at, one.id) > after)
    window.end([one for _, one in page[:limit]], limit)


def drained(window: Window) -> list[int]:
    ids: list[int] = []
    while window.first() is not None:
        ids.append(window.take().id)
    return ids


def test_in_the_order_in_which_they_are_due() -> None:
    one = window()
    read(one, scheduled(1, 30), scheduled(2, 10), scheduled(3, 10))
    one.put(scheduled(4, 20))
    assert drained(one) == [2, 3, 4, 1]


def test_what_lies_beyond_a_full_page_stays_in_the_store() -> None:
    one = window()
    read(one, *(scheduled(id, id) for id in range(1, 9)))
    assert (len(one), one.horizon, one.complete) == (4, (4, 4), False)
    one.put(scheduled(9, 9))
    one.put(scheduled(10, 2))
    assert drained(one) == [1, 2, 10, 3, 4]


def test_one_that_is_forgotten_is_gone() -> None:
    one = window()
    read(one, scheduled(1, 1), scheduled(2, 2))
    one.forget("m1")
    one.forget("unknown")
    assert len(one) == 1
    assert drained(one) == [2]


def test_what_nobody_claims_is_passed_over_and_the_rest_goes_on() -> None:
    one = window()
    strange = [scheduled(id, id) for id in range(1, 5)]
    for delivery in strange:
        delivery.consumer = "nobody"
    read(one, *strange, scheduled(5, 5))
    assert one.first() is None
    assert one.wants_more
    read(one, *strange, scheduled(5, 5))
    assert drained(one) == [5]


def test_too_many_are_left_to_the_store_the_latest_first() -> None:
    one = window()
    read(one)
    for id in range(1, 10):
        one.put(scheduled(id, 100 - id))
    assert len(one) == 4
    assert one.horizon == (94, 6)
    assert not one.complete
    assert drained(one) == [9, 8, 7, 6]


def test_what_is_written_or_forgotten_while_a_page_is_read() -> None:
    one = window()
    read(one, *(scheduled(id, id) for id in range(1, 9)))
    assert one.begin() == (4, 4)
    one.put(scheduled(20, 6))  # the page may be older than this
    one.put(scheduled(21, 90))
    one.forget("m7")  # or than this
    one.end([scheduled(id, id) for id in (5, 6, 7, 8)], 4)
    assert drained(one) == [1, 2, 3, 4, 5, 6, 20, 8]


def test_a_page_that_holds_what_was_put_already() -> None:
    one = window()
    read(one)
    one.complete = False
    one.begin()
    late = scheduled(3, 3)
    one.put(late)
    one.end([scheduled(2, 2), scheduled(3, 3)], 4)
    assert drained(one) == [2, 3]


def test_a_page_that_could_not_be_read_changes_nothing() -> None:
    one = window()
    one.begin()
    one.put(scheduled(1, 1))
    one.end(None, 4)
    assert one.wants_more
    read(one, scheduled(1, 1))
    assert drained(one) == [1]


def test_a_page_that_does_not_follow_any_more_is_dropped() -> None:
    one = window()
    read(one, *(scheduled(id, 10 * id) for id in range(1, 9)))
    one.begin()
    for id in range(11, 20):
        one.put(scheduled(id, 5))
    assert one.horizon == (5, 14)
    one.end([scheduled(5, 50)], 4)
    assert one.horizon == (5, 14)
    assert not one.complete


def test_those_forgotten_do_not_fill_the_memory() -> None:
    one = window(10)
    read(one, limit=10)
    for id in range(1, 10_000):
        one.put(scheduled(id, id))
        one.forget(f"m{id}")
    assert len(one._heap) < 50


@pytest.mark.parametrize("seed", range(50))
def test_nothing_is_lost_or_doubled_whatever_happens_meanwhile(seed: int) -> None:
    """Against a store that is a sorted list: what is taken out is always the next one of all that there are."""
    chance = random.Random(seed)
    one, store = window(), dict[str, Delivery]()
    pages: list[list[Delivery]] = []
    ids = 0
    for _ in range(600):
        match chance.randrange(6):
            case 0 | 1:
                ids += 1
                delivery = scheduled(ids, chance.randrange(40))
                store[delivery.envelope.id] = delivery
                one.put(delivery)
            case 2 if store:
                gone = chance.choice(sorted(store))
                del store[gone]
                one.forget(gone)
            case 3 if one.wants_more:
                after = one.begin()
                rest = sorted((known.due_at, known.id) for known in store.values())
                rest = rest[bisect_right(rest, after) :][:4]
                pages.append([store[f"m{id}"] for _, id in rest])
            case 4 if pages:
                one.end(pages.pop(), 4)
            case _ if not pages and (first := one.first()) is not None:
                assert (first.due_at, first.id) == min((known.due_at, known.id) for known in store.values())
                del store[one.take().envelope.id]
    for page in pages:
        one.end(page, 4)
    while store:
        while one.wants_more:
            read(one, *store.values())
        first = one.take() if one.first() else None
        assert first is not None
        assert (first.due_at, first.id) == min((known.due_at, known.id) for known in store.values())
        del store[first.envelope.id]
    assert one.first() is None
