"""The saga log."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cli import stories
from tests.each_store import ON_EACH_STORE, new_store

from sagakit.core.commit import Commit
from sagakit.core.queries import InstanceQuery
from sagakit.server.showing.finding import whole_history
from sagakit.server.showing.transitions import Transition, transitions

pytestmark = ON_EACH_STORE

REASON = "the shop has closed"


async def logged(commit: Commit) -> list[Transition]:
    store = new_store()
    await store.open()
    await store.commit([commit])
    (listed,) = await store.read_instances(InstanceQuery())
    found = transitions(listed, await whole_history(store, listed.row.id))
    await store.close()
    return found


@pytest.mark.parametrize(
    ("story", "lines"),
    [
        (
            stories.completed,
            [
                ("STARTED", None, None),
                ("STEP_DONE", "inventory.ReserveStock", None),
                ("STEP_DONE", "payments.ChargePayment", None),
                ("STEP_DONE", "orders.ConfirmOrder", None),
                ("COMPLETED", None, None),
            ],
        ),
        (
            stories.compensated,
            [
                ("STARTED", None, None),
                ("STEP_DONE", "inventory.ReserveStock", None),
                ("STEP_DONE", "payments.ChargePayment", None),
                ("COMPENSATING", "orders.ConfirmOrder", REASON),
                ("COMPENSATING", "payments.RefundPayment", None),
                ("COMPENSATING", "inventory.ReleaseStock", None),
                ("COMPENSATING", "orders.CancelOrder", None),
                ("COMPENSATED", None, REASON),
            ],
        ),
        (
            stories.charging,
            [("STARTED", None, None), ("STEP_DONE", "inventory.ReserveStock", None)],
        ),
    ],
)
async def test_each_transition_has_its_step_and_its_error(
    story: Callable[[], Commit], lines: list[tuple[str, str | None, str | None]]
) -> None:
    found = await logged(story())
    assert [(line.status, line.step, line.error) for line in found] == lines
    assert [line.at for line in found] == sorted(line.at for line in found)


async def test_a_compensation_that_failed_is_no_clean_one() -> None:
    found = await logged(stories.stuck())
    assert found[-1].status == "COMPENSATION_FAILED"
    assert found[-1].error
    assert "COMPENSATED" not in [line.status for line in found]


async def test_a_line_names_the_span_that_its_outcome_comes_from() -> None:
    commit = stories.completed()
    trace = "0af7651916cd43dd8448eb211c80319c"
    for number, message in enumerate(commit.messages):
        message.trace = f"00-{trace}-{number:016x}-01"
    found = await logged(commit)
    assert {line.trace_id for line in found} == {trace}
    assert found[0].span_id == f"{1:016x}"
