"""What becomes of what fails: another attempt, a failure told to its process, or a wait for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, new_store
from tests.engine.stage import RETRY, Ask, Declined, Stage, Told, asking_app

from sagakit import App, Failed, OutcomeUnknown, Refused, Retry, Saga, TerminalError
from sagakit.core.commit import Delivery
from sagakit.core.commit import Search as SearchRow
from sagakit.core.streams import instance_id
from sagakit.engine.handlers.process_handler import ProcessHandler
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


class Broken(TerminalError):
    pass


@dataclass(frozen=True)
class Begun:
    key: str


@dataclass(frozen=True)
class Undo:
    key: str


@dataclass(frozen=True)
class Undone:
    key: str


async def left(store: AnyStore) -> list[Delivery]:
    reader = store.again()
    await reader.open(own=False)
    return await reader.read_deliveries()


async def search(store: AnyStore, process: str, key: str) -> SearchRow:
    reader = store.again()
    await reader.open(own=False)
    found = await reader.read_search(instance_id(process, key))
    assert found is not None
    return found


# ---------------------------------------------------------------------- another attempt


async def test_a_technical_error_is_tried_again_under_the_same_key() -> None:
    stage = Stage()
    stage.will(Ask(), ConnectionError("down"), KeyError("a bug too"))
    async with engine(asking_app(), provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.settle()
        assert len(stage.began) == 1
        await running.advance(seconds=0.999)
        assert len(stage.began) == 1
        await running.advance(seconds=0.001)
        assert len(stage.began) == 2
        await running.advance(seconds=1.999)
        assert len(stage.began) == 2
        await running.advance(seconds=0.001)
        assert len(stage.began) == 3
    assert [context.attempt for context in stage.contexts] == [1, 2, 3]
    assert len({context.idempotency_key for context in stage.contexts}) == 1


async def test_a_retry_is_written_before_it_waits() -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), ConnectionError("down"))
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.settle()
        (delivery,) = await left(store)
        assert (delivery.state, delivery.attempt, delivery.error) == ("retrying", 2, "ConnectionError: down")
        assert delivery.due_at == running.hand.now() + 1_000_000


async def test_the_first_retry_that_names_the_error_decides() -> None:
    stage = Stage()
    stage.will(Ask(), ConnectionError("down"), TimeoutError("slow"), TimeoutError("slow"))
    policy = [Retry(2, first=5.0, jitter=0.0, on=TimeoutError), Retry(9, first=1.0, jitter=0.0, on=ConnectionError)]
    async with engine(asking_app(retry=policy), provide={Stage: stage}) as running:  # type: ignore[arg-type]
        await running.send(Ask())
        await running.advance(seconds=60)
    assert len(stage.began) == 2


@pytest.mark.parametrize("error", [Broken("never"), ValueError("never said")])
async def test_what_is_never_tried_again(error: Exception) -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), error)
    app = asking_app(retry=Retry(9, first=1.0, never=ValueError))
    async with engine(app, store=store, provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.advance(seconds=60)
    assert len(stage.began) == 1
    assert [one.state for one in await left(store)] == ["parked"]


# ---------------------------------------------------------------------- who gives up how


async def test_a_command_from_outside_parks_and_holds_its_lane() -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), Broken("no way"))
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.send(Ask(number=1))
        await running.send(Ask("b"))
        await running.settle()
        parked, behind = await left(store)
        assert (parked.state, parked.error, parked.attempt) == ("parked", "Broken: no way", 1)
        assert behind.state == "ready"
    assert stage.began == [Ask(), Ask("b")]


async def test_a_command_of_a_listener_parks() -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), Broken("no way"))
    app = asking_app()

    @app.on
    def react(event: Begun) -> Ask:
        return Ask(event.key)

    async with engine(app, store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        (parked,) = await left(store)
        assert (parked.envelope.type, parked.state) == ("t.Ask", "parked")


def sending_app(code: object) -> App:
    app = asking_app()

    @app.handles
    async def undo(command: Undo, stage: Stage) -> list[Undone]:
        return [Undone(await stage.play(Ask(command.key, -1)) and command.key)]

    app.saga(key="key", name="saga")(code)  # type: ignore[arg-type]
    return app


async def test_a_step_fails_to_its_process_and_never_parks() -> None:
    told: list[str] = []

    async def saga(begun: Begun, saga: Saga) -> None:
        try:
            await saga.do(Ask(begun.key), then=Told)
        except OutcomeUnknown as unknown:
            told.append(unknown.reason)

    stage, store = Stage(), new_store()
    stage.will(Ask(), ConnectionError("1"), ConnectionError("2"), ConnectionError("3"))
    async with engine(sending_app(saga), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.advance(seconds=10)
        assert told == ["ConnectionError: 3"]
        assert await left(store) == []
        assert await running.status("t.saga", "a") == "completed"


async def test_a_handler_that_says_that_nothing_was_done_is_not_tried_again() -> None:
    stage = Stage()
    stage.will(Ask(), Refused("we are closed"))

    async def asking(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key))

    async with engine(sending_app(asking), provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
    assert len(stage.began) == 1


async def test_a_command_that_nobody_waits_for_fails_to_its_process_and_changes_nothing() -> None:
    async def saga(begun: Begun, saga: Saga) -> None:
        saga.send(Ask(begun.key))
        await saga.do(Ask(begun.key, 1), then=Told)

    stage, store = Stage(), new_store()
    stage.will(Ask(), Broken("no way"))
    async with engine(sending_app(saga), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        assert await running.status("t.saga", "a") == "completed"
        assert await left(store) == []
        assert await types(running, store) == [
            *("t.Begun", "t.Ask", "t.Ask", "sagakit.CommandFailed", "t.Told"),
        ]


async def types(running: ManualEngine, store: AnyStore) -> list[str]:
    return [message.type for message in await store.read_messages()]


async def test_an_undo_parks_and_its_process_is_told() -> None:
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key))
        await saga.do(Ask(begun.key, 1), then=Told)

    stage, store = Stage(), new_store()
    stage.will(Ask("a", 1), [Declined("a", "no")])
    stage.will(Ask("a", -1), Broken("cannot undo"))
    async with engine(sending_app(saga), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        (parked,) = await left(store)
        assert (parked.envelope.type, parked.state, parked.error) == ("t.Undo", "parked", "Broken: cannot undo")
        found = await search(store, "t.saga", "a")
        assert (found.status, found.cause, found.reason) == (
            "compensation_failed",
            "refused",
            "Broken: cannot undo",
        )


async def test_an_undo_is_tried_again_under_the_same_id() -> None:
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key))
        await saga.do(Ask(begun.key, 1), then=Told)

    stage = Stage()
    stage.will(Ask("a", 1), [Declined("a", "no")])
    stage.will(Ask("a", -1), ConnectionError("down"), ConnectionError("down"))
    async with engine(sending_app(saga), provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.advance(seconds=10)
        assert await running.status("t.saga", "a") == "compensated"


async def test_an_event_to_a_process_parks_with_its_instance() -> None:
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told)
        raise KeyError("a bug")

    stage, store = Stage(), new_store()
    async with engine(sending_app(saga), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        (parked,) = await left(store)
        assert (parked.envelope.type, parked.consumer, parked.state) == ("t.Told", "t.saga", "parked")
        assert "KeyError: 'a bug'" in str(parked.error)
        found = await search(store, "t.saga", "a")
        assert found.status == "parked"
        assert found.reason == parked.error


async def test_an_event_to_a_listener_parks_and_holds_nobody() -> None:
    app, heard = App("t"), list[str]()

    @app.on(retry=RETRY)
    async def fails(event: Begun) -> None:
        raise Broken("no way")

    @app.on
    async def hears(event: Begun) -> None:
        heard.append(event.key)

    store = new_store()
    async with engine(app, store=store) as running:
        await running.publish(Begun("a"))
        await running.publish(Begun("b"))
        await running.settle()
    assert heard == ["a", "b"]
    assert [(one.consumer, one.state) for one in await left(store)] == [("t.fails", "parked"), ("t.fails", "parked")]


async def test_an_event_to_a_forwarder_parks() -> None:
    app, store = App("t"), new_store()

    @app.publishes
    async def forward(event: Begun) -> Undone:
        raise Broken("no way")

    async with engine(app, store=store) as running:
        await running.publish(Begun("a"))
        await running.settle()
    assert [(one.consumer, one.state) for one in await left(store)] == [("t.forward", "parked")]


async def test_a_process_manager_is_told_of_what_was_given_up() -> None:
    told: list[Failed[Ask]] = []
    app = asking_app()

    @app.process_manager(key="key", starts_with=Begun)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Begun | Told | Failed[Ask]) -> Ask | Sequence[Ask]:
            if isinstance(event, Failed):
                told.append(event)
                return ()
            return Ask(event.key) if isinstance(event, Begun) else ()

    stage, store = Stage(), new_store()
    stage.will(Ask(), Broken("no way"))
    stage.will(Ask("b"), [])
    async with engine(app, store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.publish(Begun("b"))
        await running.settle()
        assert told == [
            Failed(Ask(), "Broken: no way"),
            Failed(Ask("b"), "t.Ask led to no event", known_not_done=True),
        ]
        assert await left(store) == []


# ---------------------------------------------------------------------- keys


@dataclass(frozen=True)
class Deep:
    inner: Begun | None
    number: int = 0


@dataclass(frozen=True)
class DeepTold:
    number: int


async def test_a_key_that_cannot_be_found_parks_its_message_alone() -> None:
    app, store, handled = App("t"), new_store(), list[int]()

    @app.handles(key="inner.key")
    async def dig(command: Deep) -> DeepTold:
        handled.append(command.number)
        return DeepTold(command.number)

    async with engine(app, store=store) as running:
        await running.send(Deep(Begun("a"), 1))
        topology = running.topology
        consumer = topology.handlers[Deep]
        object.__setattr__(consumer, "key", lambda message: 1 / 0)
        await running.send(Deep(Begun("a"), 2))
        await running.send(Deep(Begun("a"), 3))
        await running.settle()
        parked = await left(store)
    assert handled == [1]
    assert [one.state for one in parked] == ["parked", "parked"]
    assert parked[0].lane != parked[1].lane
    assert parked[0].error == "its key cannot be found: ZeroDivisionError: division by zero"


@dataclass(frozen=True)
class Open:
    name: str


@dataclass(frozen=True)
class Opened:
    name: str


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("\U0001f600" * 500, ""),
        ("x" * 501, "has 501 characters: 500 are the most"),
        ("x" * 100_000, "has 100,000 characters: 500 are the most"),
        ("a\0b", r"name: 'a\x00b' has a NUL character"),
    ],
)
async def test_a_key_is_kept_whole_or_refused_by_every_store(key: str, error: str) -> None:
    """One that the index of a store does not take would have its Commit tried again for ever."""
    app, store = App("t"), new_store()

    @app.aggregate(key="name")
    @dataclass(frozen=True)
    class Account:
        opened: bool = False

        def decide(self, command: Open) -> Opened:
            return Opened(command.name)

        def evolve(self, event: Opened) -> Account:
            return Account(opened=True)

    async with engine(app, store=store) as running:
        await running.send(Open(key))
        await running.send(Open("a"))
        await running.settle()
        made = [one.type for one in await store.read_messages() if one.type == "t.Opened"]
        parked = await left(store)
    if not error:
        assert (len(made), parked) == (2, [])
    else:
        (one,) = parked
        assert len(made) == 1
        assert error in str(one.error)


async def test_the_key_of_an_event_that_cannot_be_found_parks_it_for_that_process_alone() -> None:
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told)

    app, stage, store, heard = sending_app(saga), Stage(), new_store(), list[str]()

    @app.on
    async def hears(event: Begun) -> None:
        heard.append(event.key)

    async with engine(app, store=store, provide={Stage: stage}) as running:
        object.__setattr__(running.topology.processes["t.saga"], "key", lambda message: 1 / 0)
        await running.publish(Begun("a"))
        await running.settle()
        (parked,) = await left(store)
    assert heard == ["a"]
    assert (parked.consumer, parked.state) == ("t.saga", "parked")
    assert "division by zero" in str(parked.error)


# ---------------------------------------------------------------------- the engine's own bugs


async def test_a_bug_of_the_engine_loses_no_delivery_and_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told)

    calls: list[str] = []
    tell_sender = ProcessHandler.tell_sender

    async def fails_twice(self: ProcessHandler, *args: object) -> None:
        calls.append("called")
        if len(calls) < 3:
            raise RuntimeError("a bug of the engine")
        await tell_sender(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ProcessHandler, "tell_sender", fails_twice)
    stage, store = Stage(), new_store()
    async with engine(sending_app(saga), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        assert len(calls) == 1  # it waits, as after any failure
        await running.advance(seconds=60)
        assert await running.status("t.saga", "a") == "completed"
        assert await left(store) == []
