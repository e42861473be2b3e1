"""The answer door: what a participant says of a command becomes its outcome, early, late, once and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from tests.each_store import ON_EACH_STORE, Around, new_store
from tests.engine.stage import PATIENCE, until

from sagakit import (
    App,
    Cancelled,
    CommandParked,
    Context,
    End,
    Failed,
    KeyReused,
    Later,
    NotDone,
    NotFound,
    NotPossible,
    OutcomeUnknown,
    Refused,
    Retry,
    Saga,
    Step,
    TerminalError,
    Undoing,
    UnknownMessage,
)
from sagakit.core.commit import Envelope
from sagakit.core.lifecycle import HANDED_OVER
from sagakit.core.queries import DeliveryQuery
from sagakit.stores.sqlite.store import SqliteStore
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Order:
    key: str


@dataclass(frozen=True)
class Charge:
    key: str


@dataclass(frozen=True)
class Charged:
    key: str


@dataclass(frozen=True)
class Declined:
    key: str
    reason: str = "no money"


@dataclass(frozen=True)
class Noted:
    key: str


@dataclass(frozen=True)
class Refund:
    key: str


@dataclass(frozen=True)
class Refunded:
    key: str


@dataclass(frozen=True)
class Ship:
    key: str


@dataclass(frozen=True)
class Shipped:
    key: str


@dataclass(frozen=True)
class Known:
    """By an aggregate."""

    key: str


@dataclass(frozen=True)
class Knew:
    key: str


@dataclass(frozen=True)
class Ledger:
    def decide(self, command: Known) -> Knew:
        return Knew(command.key)

    def evolve(self, event: Knew) -> Ledger:
        return self


@dataclass
class Handed:
    """The participants: what was handed over to them, by the class of the command."""

    contexts: dict[type, list[Context]] = field(default_factory=dict[type, list[Context]])
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    held: bool = False
    breaks: bool = False

    async def take(self, command: object, context: Context) -> Later:
        self.contexts.setdefault(type(command), []).append(context)
        if self.held:
            await self.gate.wait()
        if self.breaks:
            raise TerminalError("the line is dead")
        return Later("the bank")

    def last(self, command: type) -> Context:
        return self.contexts[command][-1]

    def count(self, command: type) -> int:
        return len(self.contexts.get(command, ()))


Way = Literal["code", "steps", "manager"]
WAYS: tuple[Way, ...] = ("code", "steps", "manager")


@dataclass(frozen=True)
class Manager:
    key: str = ""

    def evolve(self, event: Order | Charged | Declined | Refunded | Shipped | Cancelled | Failed[Any]) -> Manager:
        return Manager(event.key) if isinstance(event, Order) else self

    def react(self, event: Order | Charged | Declined | Refunded | Shipped | Cancelled | Failed[Any]) -> Any:
        match event:
            case Order(key):
                return Charge(key)
            case Charged(key):
                return Ship(key)
            case Shipped():
                return End("completed")
            case Declined(_, reason):
                return End("compensated", reason)
            case Cancelled(reason) | Failed(Ship(), reason):
                return Undoing(Refund(self.key), of=Charge(self.key))
            case Failed(Charge(), reason, True):
                return End("compensated", reason)
            case Failed(Charge(), reason):
                return Undoing(Refund(self.key), of=Charge(self.key))
            case Refunded():
                return End("compensated")
        return None


def paying(way: Way = "code", *, key: str | None = None) -> App:
    app = App("t")
    app.aggregate(key="key")(Ledger)

    @app.handles(retry=Retry(1), key=key)
    async def charge(command: Charge, handed: Handed, context: Context) -> Charged | Declined | Later:
        return await handed.take(command, context)

    @app.handles(retry=Retry(1))
    async def refund(command: Refund, handed: Handed, context: Context) -> Refunded | Later:
        return await handed.take(command, context)

    @app.handles
    async def ship(command: Ship) -> Shipped:
        return Shipped(command.key)

    @app.on
    async def noting(event: Noted) -> None: ...

    if way == "code":

        @app.saga(key="key", name="paid")
        async def paid(order: Order, saga: Saga) -> None:
            await saga.do(Charge(order.key), then=Charged, undo=Refund(order.key))
            await saga.do(Ship(order.key), then=Shipped)

    elif way == "steps":
        app.step_saga(
            "paid",
            Step(Charge, then=Charged, undo=Refund),
            Step(Ship, then=Shipped),
            starts_with=Order,
            key="key",
        )
    else:
        app.process_manager(key="key", starts_with=Order, name="paid")(Manager)
    return app


async def answer(running: ManualEngine, context: Context, *events: Any, **more: Any) -> Any:
    return await running.answer(context.message_id, *events, correlation_id=context.correlation_id, **more)


async def types(running: ManualEngine) -> list[str]:
    return [one.type.rpartition(".")[2] for one in await running.store.read_messages()]


async def story(running: ManualEngine) -> list[Envelope]:
    return await running.store.read_messages()


# ---------------------------------------------------------------------- the three ways


@pytest.mark.parametrize("way", WAYS)
async def test_the_answer_is_the_outcome(way: Way) -> None:
    handed = Handed()
    async with engine(paying(way), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        assert await running.status("t.paid", "1") == "running"
        assert await types(running) == ["Order", "Charge", "HandedOver"]
        assert await running.store.read_deliveries() == []

        receipt = await answer(running, handed.last(Charge), Charged("1"))
        await running.settle()

        assert await running.status("t.paid", "1") == "completed"
        assert not receipt.repeated
        _, command, over, outcome, *_ = await story(running)
        assert (over.causation_id, over.sender) == (command.id, "t.charge")  # with a sender: it is no outcome
        assert (outcome.type, outcome.causation_id, outcome.sender) == ("t.Charged", command.id, None)


@pytest.mark.parametrize("way", WAYS)
async def test_a_declared_refusal(way: Way) -> None:
    handed = Handed()
    async with engine(paying(way), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        await answer(running, handed.last(Charge), Declined("1"))
        await running.settle()
        assert await running.status("t.paid", "1") == "compensated"
        assert handed.count(Refund) == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("known_not_done", [True, False])
async def test_a_failed_answer(way: Way, known_not_done: bool) -> None:
    handed = Handed()
    async with engine(paying(way), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        await answer(running, handed.last(Charge), failed="the bank is shut", known_not_done=known_not_done)
        await running.settle()
        if not known_not_done:
            refund = handed.last(Refund)
            assert refund.undoes == handed.last(Charge).message_id
            assert await running.status("t.paid", "1") in ("running", "undoing")
            await answer(running, refund, Refunded("1"))
            await running.settle()
        assert await running.status("t.paid", "1") == "compensated"
        assert handed.count(Refund) == (0 if known_not_done else 1)


@pytest.mark.parametrize("way", WAYS)
async def test_a_late_success_is_undone_again(way: Way) -> None:
    handed = Handed()
    async with engine(paying(way), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        await running.cancel("t.paid", "1", reason="changed my mind")
        await running.settle()
        charge, first = handed.last(Charge), handed.last(Refund)
        await answer(running, first, Refunded("1"))
        await running.settle()
        assert await running.status("t.paid", "1") == "compensated"

        await answer(running, charge, Charged("1"))
        await running.settle()
        again = handed.last(Refund)
        assert (again.undoes, again.message_id == first.message_id) == (charge.message_id, False)
        await answer(running, again, Refunded("1"))
        await running.settle()
        assert await running.status("t.paid", "1") == "compensated"


async def test_an_answer_without_events_is_a_refusal() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        await answer(running, handed.last(Charge))
        await running.settle()
        assert await running.status("t.paid", "1") == "compensated"
        assert handed.count(Refund) == 0


async def test_an_undeclared_event_says_nothing_that_is_known() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        await answer(running, handed.last(Charge), Noted("1"))
        await running.settle()
        assert handed.count(Refund) == 1  # it may have been done


async def test_an_event_of_no_class_of_the_app_is_refused_and_the_command_still_waits() -> None:
    @dataclass(frozen=True)
    class Foreign:
        key: str

    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        with pytest.raises(UnknownMessage):
            await answer(running, handed.last(Charge), Foreign("1"))
        await answer(running, handed.last(Charge), Charged("1"))
        await running.settle()
        assert await running.status("t.paid", "1") == "completed"


# ---------------------------------------------------------------------- again, early, for nothing


async def test_the_same_answer_again_changes_nothing() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        charge = handed.last(Charge)
        named = {"source": "topic", "message_id": "m-1"}
        first = await answer(running, charge, Charged("1"), **named)
        await running.settle()
        before = await types(running)
        again = await answer(running, charge, Charged("1"), **named)
        with pytest.raises(KeyReused):
            await answer(running, charge, Declined("1"), **named)
        assert (first.repeated, again.repeated) == (False, True)
        assert await types(running) == before


async def test_the_same_answer_is_the_same_bytes_or_the_same_words() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.publish(Order("2"))
        await running.settle()
        charge, other = handed.contexts[Charge]
        named = {"source": "topic", "message_id": "m-1"}
        assert not (await answer(running, charge, Charged("1"), digest="its bytes", **named)).repeated
        assert (await answer(running, charge, Charged("2"), digest="its bytes", **named)).repeated
        assert (await answer(running, charge, Charged("1"), digest="written anew", **named)).repeated
        with pytest.raises(KeyReused):
            await answer(running, charge, Charged("2"), digest="others", **named)
        with pytest.raises(KeyReused):
            await answer(running, other, Charged("1"), digest="its bytes", **named)


async def test_an_id_that_came_with_the_answer_to_another_command_is_no_repeat() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.publish(Order("2"))
        await running.settle()
        first, second = handed.contexts[Charge]
        await answer(running, first, Charged("x"), message_id="m-1")
        with pytest.raises(KeyReused):
            await answer(running, second, Charged("x"), message_id="m-1")


async def test_without_an_id_the_same_words_are_the_same_answer() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        charge = handed.last(Charge)
        assert not (await answer(running, charge, Charged("1"))).repeated
        assert (await answer(running, charge, Charged("1"))).repeated
        assert not (await answer(running, charge, Declined("1"))).repeated  # doubled: the first stands
        await running.settle()
        assert await running.status("t.paid", "1") == "completed"


@pytest.mark.parametrize("way", WAYS)
async def test_of_two_answers_the_first_stands(way: Way) -> None:
    handed = Handed()
    async with engine(paying(way), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        charge = handed.last(Charge)
        await asyncio.gather(
            answer(running, charge, Charged("1"), message_id="1"),
            answer(running, charge, Charged("1"), message_id="1"),
        )
        await running.settle()
        assert await running.status("t.paid", "1") == "completed"
        assert (await types(running)).count("Charged") == 1


@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_that_is_earlier_than_the_hand_over(way: Way, key: str | None) -> None:
    handed = Handed(held=True)
    async with engine(paying(way, key=key), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await until(lambda: handed.count(Charge))
        await answer(running, handed.last(Charge), Charged("1"))
        await running.settle()  # the handler was cancelled: nothing is left of it
        assert await running.status("t.paid", "1") == "completed"
        assert await running.store.read_deliveries() == []
        assert HANDED_OVER not in [one.type for one in await story(running)]


async def test_a_parked_command_is_answered_all_the_same() -> None:
    handed = Handed(breaks=True)
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.send(Charge("1"))
        await running.settle()
        (parked,) = await running.store.find_deliveries(DeliveryQuery(state="parked"))
        await answer(running, handed.last(Charge), Charged("1"))
        await running.settle()
        assert await running.store.find_deliveries(DeliveryQuery()) == []
        assert parked.envelope.id == handed.last(Charge).message_id


async def test_an_answer_to_nothing() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        receipt = await running.publish(Order("1"))
        await running.settle()
        charge = handed.last(Charge)
        with pytest.raises(NotFound, match="no command 'c' in the story 's'"):
            await running.answer("c", Charged("1"), correlation_id="s")
        with pytest.raises(NotFound):
            await running.answer(charge.message_id, Charged("1"), correlation_id="another story")
        with pytest.raises(NotFound):  # an event is no command
            await running.answer(receipt.message_id, Charged("1"), correlation_id=charge.correlation_id)
        with pytest.raises(TypeError):
            await answer(running, charge, Charged("1"), failed="what now")


async def test_what_an_aggregate_decides_is_no_participants() -> None:
    async with engine(paying(), provide={Handed: Handed()}) as running:
        receipt = await running.send(Known("1"))
        await running.settle()
        with pytest.raises(NotPossible, match=r"handled by t\.Ledger of this app"):
            await running.answer(receipt.message_id, Knew("2"), correlation_id=receipt.correlation_id)


# ---------------------------------------------------------------------- undo commands


@pytest.mark.parametrize("way", WAYS)
async def test_an_undo_that_fails_parks_and_is_handed_over_once_more(way: Way) -> None:
    handed = Handed()
    async with engine(paying(way), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        await running.cancel("t.paid", "1", reason="no")
        await running.settle()
        refund = handed.last(Refund)
        await answer(running, refund, failed="not now", message_id="1")
        await running.settle()
        assert await running.status("t.paid", "1") == "compensation_failed"
        (parked,) = await running.store.find_deliveries(DeliveryQuery(state="parked"))
        assert (parked.envelope.id, parked.error) == (refund.message_id, "not now")

        await answer(running, refund, failed="not now either", message_id="2")  # doubled: a person has it already
        assert len(await running.store.find_deliveries(DeliveryQuery())) == 1

        await running.operator.act_on_delivery(parked.id, "retry", by="ann", reason="it is open again")
        await running.settle()
        assert handed.count(Refund) == 2
        await answer(running, handed.last(Refund), failed="shut again", message_id="3")
        await running.settle()
        (parked,) = await running.store.find_deliveries(DeliveryQuery(state="parked"))
        await answer(running, handed.last(Refund), Refunded("1"), message_id="4")  # done after all
        await running.settle()
        assert await running.status("t.paid", "1") == "compensated"
        assert await running.store.find_deliveries(DeliveryQuery()) == []
        ids = [one.id for one in await story(running)]
        assert len(ids) == len(set(ids))


async def test_a_command_from_outside_that_fails_parks() -> None:
    told: list[CommandParked] = []
    handed, app = Handed(), paying()

    @app.on
    async def tell(event: CommandParked) -> None:
        told.append(event)

    async with engine(app, provide={Handed: handed}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Charge("1"), until=Charged, timeout=PATIENCE))
        await until(lambda: handed.count(Charge))
        await running.settle()
        assert not waiting.done()
        await answer(running, handed.last(Charge), failed="out of order")
        with pytest.raises(OutcomeUnknown, match="out of order"):
            await waiting
        await running.settle()
        assert [one.error for one in told] == ["out of order"]
        assert [one.error for one in await running.store.find_deliveries(DeliveryQuery())] == ["out of order"]


# ---------------------------------------------------------------------- who waits


OUTCOMES: list[tuple[Callable[[], dict[str, Any]], tuple[Any, ...], type[NotDone] | None]] = [
    (dict, (Charged("1"),), None),
    (dict, (Declined("1"),), Refused),
    (dict, (), Refused),
    (lambda: {"failed": "no", "known_not_done": True}, (), Refused),
]


@pytest.mark.parametrize(("more", "events", "error"), OUTCOMES)
@pytest.mark.parametrize("after_the_fact", [False, True])
async def test_who_waits_is_told_when_the_answer_has_come(
    more: Callable[[], dict[str, Any]], events: tuple[Any, ...], error: type[NotDone] | None, after_the_fact: bool
) -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        receipt = await running.send(Charge("1"))
        if after_the_fact:
            await running.settle()
        waiting = asyncio.create_task(
            running.wait(until=Charged, correlation_id=receipt.correlation_id, timeout=PATIENCE)
        )
        await running.settle()
        await asyncio.sleep(0)
        assert not waiting.done()
        await answer(running, handed.last(Charge), *events, **more())
        if error is None:
            assert await waiting == Charged("1")
        else:
            with pytest.raises(error):
                await waiting
            await running.settle()
            with pytest.raises(error):
                await running.wait(until=Charged, correlation_id=receipt.correlation_id, timeout=PATIENCE)


class Slow(Around):
    """What was read of a story arrives when it is old."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.gate = asyncio.Event(), asyncio.Event()

    async def read_story(self, correlation_id: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        page = await self.inner.read_story(correlation_id, after=after, limit=limit)
        self.read.set()
        await self.gate.wait()
        return page


@pytest.mark.parametrize(("more", "events", "error"), OUTCOMES)
async def test_who_waits_is_told_of_an_answer_that_comes_while_the_story_is_read(
    more: Callable[[], dict[str, Any]], events: tuple[Any, ...], error: type[NotDone] | None
) -> None:
    handed, store = Handed(), Slow()
    async with engine(paying(), provide={Handed: handed}, store=store) as running:
        receipt = await running.send(Charge("1"))
        await running.settle()
        waiting = asyncio.create_task(
            running.wait(until=Charged, correlation_id=receipt.correlation_id, timeout=PATIENCE)
        )
        await store.read.wait()
        await answer(running, handed.last(Charge), *events, **more())
        store.gate.set()
        if error is None:
            assert await waiting == Charged("1")
        else:
            with pytest.raises(error):
                await waiting


async def test_who_waits_goes_on_waiting_when_the_command_is_handed_over_while_the_story_is_read() -> None:
    handed, store = Handed(held=True), Slow()
    async with engine(paying(), provide={Handed: handed}, store=store) as running:
        receipt = await running.send(Charge("1"))
        await until(lambda: handed.count(Charge))
        waiting = asyncio.create_task(
            running.wait(until=Charged, correlation_id=receipt.correlation_id, timeout=PATIENCE)
        )
        await store.read.wait()
        handed.gate.set()
        while len(await store.inner.read_story(receipt.correlation_id)) < 2:
            await asyncio.sleep(0)
        store.gate.set()
        await running.settle()
        assert not waiting.done()
        await answer(running, handed.last(Charge), Charged("1"))
        assert await waiting == Charged("1")


async def test_who_watches_is_told_of_an_answer_that_comes_while_the_story_is_read() -> None:
    handed, store = Handed(), Slow()
    async with engine(paying(), provide={Handed: handed}, store=store) as running:
        receipt = await running.send(Charge("1"))
        await running.settle()
        updates = running.watch(correlation_id=receipt.correlation_id)
        first = asyncio.ensure_future(anext(updates))
        await store.read.wait()
        await answer(running, handed.last(Charge), Charged("1"))
        store.gate.set()
        assert (await first).status == "ended"
        assert await anext(updates, None) is None


async def test_a_story_is_over_when_the_answer_has_come() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        receipt = await running.send(Charge("1"))
        await running.settle()
        updates = running.watch(correlation_id=receipt.correlation_id)
        assert (await anext(updates)).status == "running"
        await answer(running, handed.last(Charge), Charged("1"))
        assert (await anext(updates)).status == "ended"
        assert await anext(updates, None) is None


async def test_a_story_that_is_watched_goes_on_when_its_command_is_handed_over() -> None:
    handed = Handed(held=True)
    async with engine(paying(), provide={Handed: handed}) as running:
        receipt = await running.send(Charge("1"))
        await until(lambda: handed.count(Charge))
        updates = running.watch(correlation_id=receipt.correlation_id)
        assert (await anext(updates)).status == "running"
        handed.gate.set()
        over = await anext(updates)
        assert (over.state, over.status) == (HANDED_OVER, "running")
        await answer(running, handed.last(Charge), Charged("1"))
        last = await anext(updates)
        assert (last.state, last.status) == ("t.Charged", "ended")


# ---------------------------------------------------------------------- after a restart


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_answer_comes_to_another_engine(kind: str, tmp_path: Any) -> None:
    handed = Handed()
    memory = new_store()
    path = str(tmp_path / "t.db")
    first = memory if kind == "memory" else SqliteStore(path)
    async with engine(paying(), provide={Handed: handed}, store=first) as running:
        await running.publish(Order("1"))
        await running.settle()
    second = memory.again() if kind == "memory" else SqliteStore(path)
    async with engine(paying(), provide={Handed: handed}, store=second) as running:
        await running.settle()
        await answer(running, handed.last(Charge), Charged("1"))
        await running.settle()
        assert await running.status("t.paid", "1") == "completed"
        assert handed.count(Charge) == 1


# ---------------------------------------------------------------------- where it stands in a trace

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
STORY = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.mark.parametrize("said", [{}, {"failed": "the bank is shut"}], ids=["charged", "failed"])
@pytest.mark.parametrize(
    ("trace", "followed"),
    [
        pytest.param(f"00-{TRACE_ID}-00f067aa0ba902b7-01", True, id="in its story"),
        pytest.param("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False, id="in another trace"),
        pytest.param(f"00-{TRACE_ID}-00f067aa0ba902b7-00", False, id="not sampled over there"),
        pytest.param(None, False, id="in none"),
    ],
)
async def test_what_an_answer_leads_to_stands_where_it_was_given(
    trace: str | None, followed: bool, said: dict[str, str]
) -> None:
    handed = Handed()
    async with engine(paying("code"), provide={Handed: handed}) as running:
        await running.publish(Order("1"), trace=STORY)
        await running.settle()
        context = handed.last(Charge)
        await answer(running, context, *([] if said else [Charged("1")]), trace=trace, **said)
        outcome = next(one for one in await story(running) if one.causation_id == context.message_id and not one.sender)
        assert outcome.trace == (trace if followed else STORY)
