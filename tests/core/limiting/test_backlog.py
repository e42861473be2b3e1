"""What is outstanding in the store: how far it was read, whose page is next, and what has to wait for its page."""

from __future__ import annotations

from sagakit.core.commit import Delivery, Envelope
from sagakit.core.limiting.backlog import Backlog, Part


def delivery(id: int) -> Delivery:
    return Delivery(Envelope(f"m{id}", "command", "t", b"{}", "s", 0), "c", "c/k", id=id)


def test_it_is_read_when_a_page_is_not_full_and_holds_all_that_was_left() -> None:
    part = Part()
    part.end([delivery(1), delivery(2)], part.upto, 2)
    assert (part.reading, part.cursor) == (True, 2)
    upto = part.upto
    part.upto = 7  # left in the store while the page was read
    part.end([delivery(3)], upto, 2)
    assert (part.reading, part.cursor) == (True, 3)
    part.end([delivery(7)], part.upto, 2)
    assert (part.reading, part.cursor) == (False, 7)


def test_consumers_have_a_page_in_turn_and_the_rest_comes_last() -> None:
    backlog = Backlog()
    whole = backlog.part_of("anything")
    assert backlog.next() is whole
    whole.cursor = 5
    first, second = backlog.divide(["a", "b"])
    assert (first.cursor, first.of, backlog.part_of("a"), backlog.part_of("?")) == (5, {"a": range(256)}, first, whole)
    assert [backlog.next(), backlog.next(), backlog.next()] == [first, second, first]
    first.reading = False
    assert [backlog.next(), backlog.next()] == [second, second]
    second.reading = False
    assert (backlog.next(), backlog.reading) == (whole, True)
    whole.reading = False
    assert not backlog.reading


def test_all_is_read_up_to_the_least_cursor_of_those_that_are_still_read() -> None:
    backlog = Backlog()
    first, second = backlog.divide(["a", "b"])
    backlog.part_of("?").cursor, first.cursor, second.cursor = 30, 10, 20
    assert backlog.cursor == 10
    first.reading = False
    assert backlog.cursor == 20
