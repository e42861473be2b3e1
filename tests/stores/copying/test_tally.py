"""Counts and digests of rows."""

from sagakit.stores.copying.tally import Tally

ROWS = [(1, "a", b"x", None), (2, "b", b"", None), (3, None, None, 2**40)]


def tally(rows: list[tuple[object, ...]]) -> Tally:
    found = Tally()
    found.add(rows)
    return found


def test_the_order_of_rows_is_no_matter() -> None:
    assert tally(ROWS) == tally(ROWS[::-1])


def test_batches_add_up() -> None:
    batches = Tally()
    for row in ROWS:
        batches.add([row])
    assert batches == tally(ROWS)


def test_every_other_set_of_rows_has_another_digest() -> None:
    others = [ROWS[:2], [*ROWS, ROWS[0]], [*ROWS[:2], (3, "", None, 2**40)], [(1, "a", "x", None), *ROWS[1:]], []]
    assert len({tally(rows).digest for rows in [ROWS, *others]}) == 6
