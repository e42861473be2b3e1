"""What a store alone tells of what stands still."""

from __future__ import annotations

from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE
from tests.engine.stage import Ask, Stage, Told, until

from sagakit import App, Saga
from sagakit.core.queries import InstanceQuery
from sagakit.engine.operating.delivery_explained import explain_delivery
from sagakit.engine.operating.explain import explain
from sagakit.engine.operating.facts import Gathering
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE

PERHAPS = ", or waits for a limit, if t.ask has one: only the engine that has it knows"


@pytest.mark.parametrize("limits", [{"at_once": 1}, {}])
async def test_a_store_does_not_say_that_something_runs_that_may_wait_for_a_limit(limits: dict[str, Any]) -> None:
    stage = Stage()
    app = App("t")

    @app.handles(key="key", **limits)
    async def ask(command: Ask, stage: Stage) -> Told:
        return await stage.play(command)

    @app.saga(key="key")
    async def one_step(told: Told, saga: Saga) -> None:
        await saga.do(Ask("b"), then=Told)

    stage.closes(Ask("a"), Ask("b"))
    async with engine(app, provide={Stage: stage}) as running:
        await running.send(Ask("a"))
        await until(lambda: Ask("a") in stage.now)
        await running.publish(Told("x"))
        await running._breathe()
        (listed,) = await running.store.read_instances(InstanceQuery())
        alone = Gathering(running.store, None, running.clock.now())
        told = explain(await alone.of_instance(listed.row.id))
        assert (told.situation, told.why) == ("under_way", f"t.Ask is being handled by t.ask{PERHAPS}")
        waiting = (await running.store.read_deliveries())[-1]
        of_delivery = explain_delivery(await alone.of_delivery(waiting), engine=True)
        assert of_delivery.why == f"it is to be handled by t.ask{PERHAPS}"
        nobody_runs = explain_delivery(await alone.of_delivery(waiting), engine=False)
        assert nobody_runs.why == "it is to be handled by t.ask"
        told = await running.operator.explain(listed.row.id)
        assert told.situation == ("waiting_for_limit" if limits else "under_way")
        assert PERHAPS not in told.why
        stage.opens(Ask("a"), Ask("b"))
        await running.settle()
