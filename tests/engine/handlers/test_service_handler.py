"""Users' functions: called with what they ask for, outside any transaction; whatever they do, the engine goes on."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, new_store
from tests.engine.stage import RETRY, Ask, Declined, Stage, Told, asking_app, until

from sagakit import App, Context, Loaded, NotFound, Retry
from sagakit.core.commit import Delivery, Envelope
from sagakit.engine.limits import Limits
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begun:
    key: str


@dataclass(frozen=True)
class Announced:
    key: str
    total: int


async def story(store: AnyStore) -> list[Envelope]:
    reader = store.again()
    await reader.open(own=False)
    return await reader.read_messages()


async def left(store: AnyStore) -> list[Delivery]:
    reader = store.again()
    await reader.open(own=False)
    return await reader.read_deliveries()


def plain_app(function: object, **options: object) -> App:
    app = App("t")
    app.handles(**options)(function)  # type: ignore[call-overload]
    return app


# ---------------------------------------------------------------------- outputs


async def test_the_command_and_its_outcome_are_in_the_log_and_the_delivery_is_gone() -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), [Told("a", 1), Told("a", 2)])
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        receipt = await running.send(Ask())
        await running.settle()
    command, first, second = await story(store)
    assert (command.id, command.kind, command.type) == (receipt.message_id, "command", "t.Ask")
    assert [(one.kind, one.type, one.causation_id, one.correlation_id) for one in (first, second)] == [
        ("event", "t.Told", command.id, command.id)
    ] * 2
    assert first.id != second.id
    assert await left(store) == []


async def test_the_ids_of_outputs_are_the_same_at_every_run() -> None:
    ids: list[list[str]] = []
    for _ in range(2):
        stage, store = Stage(), new_store()
        async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
            envelope = running._door.new_envelope(Ask(), "command")
            envelope.id = envelope.correlation_id = "the same"
            await running._door.accept(envelope)
            await running.settle()
        ids.append([one.id for one in await story(store)])
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Told("a", "one"), "InvalidMessage: t.Told: number: Expected `int`, got `str`"),  # type: ignore[arg-type]
        ("words", "UnknownMessage: str is not a message of this app"),
    ],
)
async def test_what_does_not_fit_fails_in_its_handler(answer: object, error: str) -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), answer)
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.settle()
    (parked,) = await left(store)
    assert parked.state == "parked"
    assert str(parked.error).startswith(error)
    assert [one.type for one in await story(store)] == ["t.Ask"]


# ---------------------------------------------------------------------- threads and time


async def test_a_plain_function_runs_in_a_thread_and_holds_nobody() -> None:
    gate, threads = threading.Event(), list[str]()

    def ask(command: Ask) -> Told:
        threads.append(threading.current_thread().name)
        assert gate.wait(10)
        return Told(command.key, command.number)

    store = new_store()
    async with engine(plain_app(ask), store=store) as running:
        await running.send(Ask())
        await running.send(Ask("b"))
        await until(lambda: len(threads) == 2)
        gate.set()
        await running.settle()
    assert all(name.startswith("sagakit handler") for name in threads)
    assert len(await story(store)) == 4


async def test_no_more_threads_than_the_bound_and_one_that_waits_for_a_thread_can_be_given_up() -> None:
    gate, began = threading.Event(), list[int]()

    def ask(command: Ask) -> Told:
        began.append(command.number)
        assert gate.wait(10)
        return Told(command.key, command.number)

    app, store = plain_app(ask, timeout=5.0, retry=Retry(1)), new_store()
    async with engine(app, store=store, limits=Limits(threads=1)) as running:
        await running.send(Ask(number=1))
        await until(lambda: began)
        await running.send(Ask(number=2))
        await running.advance(seconds=5)
        gate.set()
        await until(lambda: not running._runs)
        await running.settle()
    assert began == [1]  # the second never began, and never will
    assert [one.error for one in await left(store)] == ["HandlerTimeout: no answer within 5 s"] * 2


async def test_an_error_of_a_thread_is_an_error_like_any_other() -> None:
    errors = [ConnectionError("down"), StopIteration("a thread's own"), None]

    def ask(command: Ask) -> Told:
        error = errors.pop(0)
        if error is not None:
            raise error
        return Told(command.key)

    store = new_store()
    async with engine(plain_app(ask, retry=RETRY), store=store) as running:
        await running.send(Ask())
        for _ in range(2):
            await until(lambda: running.next_due)
            await running.advance(seconds=2)
        await running.settle()
    assert [one.type for one in await story(store)] == ["t.Ask", "t.Told"]


async def test_a_timeout_is_tried_again() -> None:
    stage = Stage()
    stage.closes(Ask())
    async with engine(asking_app(timeout=5.0), provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.advance(seconds=4.999)
        assert stage.ended == []
        await running.advance(seconds=0.001)
        assert stage.ended == [Ask()]
        stage.opens(Ask())
        await running.advance(seconds=1)
        assert stage.began == [Ask(), Ask()]
        assert [context.attempt for context in stage.contexts] == [1, 2]
        assert running.next_due is None  # the timeout of what ended in time is no more


async def test_the_answer_of_what_was_left_behind_is_nobodys() -> None:
    gate, ended = threading.Event(), list[int]()

    def ask(command: Ask, context: Context) -> Told:
        assert gate.wait(10)
        ended.append(context.attempt)
        return Told(command.key, context.attempt)

    store = new_store()
    async with engine(plain_app(ask, timeout=5.0, retry=RETRY), store=store) as running:
        await running.send(Ask())
        await running.advance(seconds=5)
        gate.set()
        await until(lambda: ended)
        await running.advance(seconds=1)
        await until(lambda: len(ended) == 2)
        await running.settle()
    assert [one.payload for one in await story(store)][1:] == [b'{"key":"a","number":2}']


async def test_the_context_says_how_long_an_attempt_may_take_and_what_it_belongs_to() -> None:
    told: list[object] = []

    async def ask(command: Ask, context: Context) -> Told:
        told.append((context.timeout, context.trace, context.causation_id))
        return Told(command.key, 1)

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for timeout in (None, 7.5):
        async with engine(plain_app(ask, timeout=timeout)) as running:
            await running.send(Ask(), trace=trace)
            await running.settle()
    assert told == [(None, trace, None), (7.5, trace, None)]


# ---------------------------------------------------------------------- cancellation


async def test_a_handler_that_lets_a_cancellation_out_has_failed() -> None:
    for timeout in (None, 60.0):
        stage = Stage()
        stage.will(Ask(), asyncio.CancelledError())
        async with engine(asking_app(timeout=timeout), provide={Stage: stage}) as running:
            await running.send(Ask())
            await running.settle()
            await running.send(Ask("b"))
            await running.advance(seconds=1)
            assert stage.began == [Ask(), Ask("b"), Ask()]


# ---------------------------------------------------------------------- listeners and forwarders


async def test_a_listener_sends_commands_in_the_commit_that_takes_its_event() -> None:
    app, stage, store = asking_app(), Stage(), new_store()

    @app.on
    def react(event: Begun) -> list[Ask]:
        return [Ask(event.key, 1), Ask(event.key, 2)]

    async with engine(app, store=store, provide={Stage: stage}) as running:
        receipt = await running.publish(Begun("a"))
        await running.settle()
    commands = [one for one in await story(store) if one.kind == "command"]
    assert [(one.causation_id, one.correlation_id, one.sender) for one in commands] == [
        (receipt.message_id, receipt.message_id, None)
    ] * 2
    assert stage.began == [Ask("a", 1), Ask("a", 2)]


async def test_a_listener_with_side_effects() -> None:
    app, heard = App("t"), list[str]()

    @app.on(key="key")
    async def hears(event: Begun, stage: Stage, context: Context) -> None:
        heard.append(f"{event.key} {context.attempt}")
        if len(heard) == 1:
            raise ConnectionError("down")

    async with engine(app, provide={Stage: Stage()}) as running:
        await running.publish(Begun("a"))
        await running.publish(Begun("a"))
        await running.advance(seconds=1)
    assert heard == ["a 1", "a 2", "a 1"]  # in order, the second held by the first


async def test_two_listeners_of_one_event_hold_each_other_not() -> None:
    app, heard = App("t"), list[str]()

    @app.on(retry=Retry(None, first=100.0))
    async def fails(event: Begun) -> None:
        raise ConnectionError("down")

    @app.on
    async def hears(event: Begun) -> None:
        heard.append(event.key)

    async with engine(app) as running:
        await running.publish(Begun("a"))
        await running.settle()
    assert heard == ["a"]


@dataclass(frozen=True)
class Add:
    key: str
    number: int


@dataclass(frozen=True)
class Added:
    key: str
    number: int


def adding_app(seen: list[Loaded[object]]) -> App:
    app = App("t")

    @app.aggregate(key="key")
    @dataclass(frozen=True)
    class Sum:
        total: int = 0

        def decide(self, command: Add) -> Added:
            return Added(command.key, command.number)

        def evolve(self, event: Added) -> Sum:
            return Sum(self.total + event.number)

    @app.publishes
    async def announce(event: Added, context: Context) -> Announced | None:
        loaded = await context.load(Sum, event.key)
        seen.append(loaded)
        if event.number == 0:
            return None
        return Announced(event.key, loaded.state.total)

    return app


async def test_a_forwarder_sees_the_aggregate_as_it_stood_at_the_event() -> None:
    seen: list[Loaded[object]] = []
    store = new_store()
    async with engine(adding_app(seen), store=store) as running:
        for number in (1, 2, 3, 0):
            await running.send(Add("a", number))
        await running.settle()
    announced = [one.payload for one in await story(store) if one.type == "t.Announced"]
    # it has no key: each event is in a lane of its own, and they may run in any order
    assert sorted(announced) == [b'{"key":"a","total":1}', b'{"key":"a","total":3}', b'{"key":"a","total":6}']
    assert sorted(loaded.version for loaded in seen) == [1, 2, 3, 4]


# ---------------------------------------------------------------------- what handlers ask for


async def test_a_handler_loads_an_aggregate_of_the_app() -> None:
    found: list[object] = []
    app = adding_app([])
    (Sum,) = (one.cls for one in app.declared.aggregates)  # noqa: N806

    @app.on
    async def look(event: Begun, context: Context) -> None:
        try:
            found.append(await context.load(Sum, event.key))
        except NotFound as error:
            found.append(str(error))

    async with engine(app) as running:
        await running.publish(Begun("a"))
        await running.settle()
        await running.send(Add("a", 5))
        await running.settle()
        await running.publish(Begun("a"))
        await running.settle()
    assert found == ["there is no Sum with key 'a'", Loaded(Sum(5), 1)]


async def test_the_context_names_the_message() -> None:
    stage = Stage()
    async with engine(asking_app(), provide={Stage: stage}) as running:
        first, second = await running.send(Ask()), await running.send(Ask(number=1))
        await running.settle()
        begin = running.now
    one, other = stage.contexts
    assert (one.message_id, one.idempotency_key, one.correlation_id) == (first.message_id,) * 3
    assert other.message_id == second.message_id
    assert (one.attempt, one.undoes, one.recorded_at) == (1, None, begin)
    assert one.key("mail") == one.key("mail") != one.key("book")
    assert one.key("mail") != other.key("mail")


async def test_the_engine_serves_a_declined_command_as_well() -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), [Declined("a", "no")])
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.settle()
    assert [one.type for one in await story(store)] == ["t.Ask", "t.Declined"]
