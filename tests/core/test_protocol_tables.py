"""The code of the core against the matrices of docs/protocol.md: every cell that can happen is brought about."""

from __future__ import annotations

import pytest
from tests.core.protocol import instances, steps, undos
from tests.core.protocol.checks import CHECKS, THROUGH
from tests.core.protocol.tables import Cell, read

assert all((steps, undos, instances))  # importing them registers their checks

ALL: list[Cell] = [cell for table in ("steps", "undos", "instances") for cell in read(table).values()]
CELLS = {(cell.table, cell.state, cell.event): cell for cell in ALL}


def outside_the_core(cell: Cell) -> bool:
    """What never reaches the core: the engine tells it nothing, so that its state stays."""
    if cell.table == "undos":
        return cell.event in ("do_ended", "undo_attempt_failed")
    if cell.table == "instances":
        by_hand = cell.event == "cancel" or cell.event.startswith("operator_")
        return (cell.state == "parked" and not by_hand) or (
            cell.state == "(none)" and cell.event in ("other_event", "cancel")
        )
    return False


BUILT = [cell for cell in ALL if cell.next is not None and not cell.later and not outside_the_core(cell)]


@pytest.mark.parametrize("cell", BUILT, ids=lambda cell: cell.name)
def test_the_code_does_what_the_cell_says(cell: Cell) -> None:
    key = (cell.table, cell.state, cell.event)
    assert key in CHECKS, "no check for this cell"

    expected = cell.next
    if key in THROUGH:
        on = CELLS[cell.table, expected or "", THROUGH[key]]
        expected = on.next
    assert CHECKS[key]() == expected


def test_every_check_is_of_a_cell_that_can_happen() -> None:
    assert set(CHECKS) - {(cell.table, cell.state, cell.event) for cell in BUILT} == set()


@pytest.mark.parametrize(
    "cell",
    [cell for cell in ALL if cell.next and not cell.later and outside_the_core(cell)],
    ids=lambda cell: cell.name,
)
def test_what_the_core_is_not_told_changes_nothing(cell: Cell) -> None:
    assert cell.next == cell.state


def test_every_next_state_is_a_state() -> None:
    states = {(cell.table, cell.state) for cell in ALL}
    assert {(cell.table, cell.next) for cell in ALL if cell.next} - states == set()
