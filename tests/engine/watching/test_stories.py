"""Waiting in a story that no process leads: what may still come is followed through handlers and listeners."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store, only_on
from tests.engine.stage import until
from tests.engine.watching.chain import (
    Charge,
    Charged,
    Declined,
    PaymentFailed,
    PaymentFinalized,
    Place,
    Placed,
    Script,
    chain,
)

from sagakit import App, OutcomeUnknown, Receipt, Refused, Retry, Saga, TerminalError, WaitTimeout
from sagakit.engine.limits import Limits
from sagakit.errors import Stopping
from sagakit.testing.faults import At, Fault, FaultyStore
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Elsewhere:
    key: str


WANTED = (PaymentFinalized, PaymentFailed)


class Broken(TerminalError):
    pass


async def waited(running: ManualEngine, receipt: Receipt) -> Any:
    return await running.wait(until=WANTED, correlation_id=receipt.correlation_id, timeout=5)


async def test_an_event_at_the_end_of_a_chain() -> None:
    async with engine(chain(), provide={Script: Script()}) as running:
        assert await running.send_and_wait(Place(), until=WANTED) == PaymentFinalized("a")
        assert await waited(running, await running.send(Place("b"))) == PaymentFinalized("b")
        assert not running._watching


async def test_after_the_fact() -> None:
    script, store = Script(answers={"Finalize": PaymentFailed("a")}), new_store()
    async with engine(chain(), store=store, provide={Script: script}) as running:
        receipt = await running.send(Place())
        await running.settle()
        assert await waited(running, receipt) == PaymentFailed("a")
    async with engine(chain(), store=store.again(), provide={Script: script}) as running:
        assert await waited(running, receipt) == PaymentFailed("a")
        assert not running._watching


FAILURES = [
    ("Place", Broken("no"), OutcomeUnknown, "Broken: no"),
    ("Charge", Broken("no card"), OutcomeUnknown, r"c\.Charge for c\.charge is parked: Broken: no card"),
    ("Charge", Declined("a", "poor"), Refused, "^poor$"),
    ("Charge", Declined("a"), Refused, r"^c\.Declined$"),
    ("Placed", Broken("deaf"), OutcomeUnknown, r"c\.Placed for c\.charge_what_is_placed is parked: Broken: deaf"),
    ("Placed", None, OutcomeUnknown, "the story has come to its end without PaymentFinalized or PaymentFailed"),
    ("Finalize", Broken("late"), OutcomeUnknown, "c.Finalize for c.finalize is parked: Broken: late"),
]


@pytest.mark.parametrize(("at", "answer", "error", "words"), FAILURES)
@pytest.mark.parametrize("mailing", [False, True])
async def test_a_failure_anywhere_is_told_when_nothing_else_can_lead_there(
    at: str, answer: Any, error: type[Exception], words: str, mailing: bool
) -> None:
    script = Script(answers={at: answer}, closed={"Mailed"} if mailing and at != "Placed" else set())
    async with engine(chain(), provide={Script: script}) as running:
        with pytest.raises(error, match=words):
            await running.send_and_wait(Place(), until=WANTED)
        script.gates["Mailed"].set()


@pytest.mark.parametrize(("at", "answer", "error", "words"), FAILURES)
async def test_and_told_at_once_after_the_fact(at: str, answer: Any, error: type[Exception], words: str) -> None:
    script, store = Script(answers={at: answer}), new_store()
    async with engine(chain(), store=store, provide={Script: script}) as running:
        receipt = await running.send(Place(), idempotency_key="k")
        await running.settle()
        with pytest.raises(error, match=words):
            await waited(running, receipt)
    async with engine(chain(), store=store.again(), provide={Script: script}) as running:
        with pytest.raises(error, match=words):
            await waited(running, receipt)
        with pytest.raises(error, match=words):
            await running.send_and_wait(Place(), until=WANTED, idempotency_key="k")
        assert not running._watching


async def test_a_side_story_that_parks_is_not_the_answer() -> None:
    script = Script(answers={"Mailed": Broken("no mail")}, closed={"Charge"})
    async with engine(chain(), provide={Script: script}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=WANTED))
        await until(lambda: "Charge" in script.began)
        await running.advance(seconds=1)
        [placed] = await running.store.read_messages(limit=1)
        later = asyncio.create_task(waited(running, Receipt("", placed.correlation_id)))
        await running.advance(seconds=1)
        assert not waiting.done()
        assert not later.done()
        script.gates["Charge"].set()
        assert await asyncio.gather(waiting, later) == [PaymentFinalized("a")] * 2


async def test_what_was_never_declared_may_come_as_long_as_anything_goes_on() -> None:
    script = Script(answers={"Finalize": Declined("a", "undeclared")}, closed={"Finalize"})
    async with engine(chain(), provide={Script: script}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Charge("a"), until=Placed))
        undeclared = asyncio.create_task(running.send_and_wait(Charge("a"), until=Declined))
        await until(lambda: script.began.count("Finalize") == 2)
        await running.advance(seconds=1)
        assert not waiting.done()
        script.gates["Finalize"].set()
        with pytest.raises(OutcomeUnknown, match="has come to its end without Placed"):
            await waiting
        with pytest.raises(Refused, match=r"c\.Charged"):  # it was declared at the charge, and not thereafter
            await undeclared


async def test_an_unknown_story_may_still_begin() -> None:
    async with engine(chain(), provide={Script: Script()}) as running:
        waiting = asyncio.create_task(running.wait(until=PaymentFinalized, correlation_id="nobody's", timeout=5))
        await running.advance(seconds=4)
        assert not waiting.done()
        await running.advance(seconds=1)
        with pytest.raises(WaitTimeout, match="no PaymentFinalized within 5 s"):
            await waiting


async def test_a_wait_needs_to_know_for_what() -> None:
    async with engine(chain(), provide={Script: Script()}) as running:
        with pytest.raises(TypeError, match="until= and correlation_id="):
            await running.wait(until=PaymentFinalized)  # type: ignore[call-overload]


@only_on("memory", because="its data are changed behind its back")
async def test_a_parked_command_that_is_tried_again_goes_on() -> None:
    script, store = Script(answers={"Charge": Broken("no card")}), new_store()
    async with engine(chain(), store=store, provide={Script: script}) as running:
        receipt = await running.send(Place())
        await running.settle()
        with pytest.raises(OutcomeUnknown, match="no card"):
            await waited(running, receipt)
        (parked,) = store.data.deliveries.values()
        parked.state = "ready"
        script.answers.clear()
        script.closed.add("Charge")
    async with engine(chain(), store=store.again(), provide={Script: script}) as running:
        waiting = asyncio.create_task(waited(running, receipt))
        await running.advance(seconds=1)
        assert not waiting.done()
        script.gates["Charge"].set()
        assert await waiting == PaymentFinalized("a")


@only_on("memory", "sqlite", because="several engines read in other pages: workers/test_takeover.py")
async def test_while_deliveries_wait_in_the_store_unread_nothing_is_said_to_be_over() -> None:
    script, store = Script(closed={"Charge"}), new_store()
    limits = Limits(stop_within=0.01)
    async with engine(chain(), store=store, provide={Script: script}, limits=limits) as running:
        receipts = [await running.send(Place(str(number))) for number in range(12)]
        await until(lambda: script.began.count("Charge") == 12)
    limits = Limits(page=1)
    async with engine(chain(), store=store.again(), provide={Script: script}, limits=limits) as running:
        assert running._recovery.reading
        waiting = [asyncio.create_task(waited(running, receipt)) for receipt in receipts]
        await running.advance(seconds=0)
        assert not any(one.done() for one in waiting)
        script.answers["Charge"] = Declined("a", "poor")
        script.gates["Charge"].set()
        while running._recovery.reading:
            await running.advance(seconds=1)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(answer) for answer in answers] == ["poor"] * 12


@only_on("memory", "sqlite", because="several engines read in other pages: workers/test_takeover.py")
async def test_what_is_sent_meanwhile_is_told_its_failure_at_once() -> None:
    script, store = Script(closed={"Charge"}), new_store()
    async with engine(chain(), store=store, provide={Script: script}, limits=Limits(stop_within=0.01)) as running:
        for number in range(12):
            await running.send(Place(str(number)))
        await until(lambda: script.began.count("Charge") == 12)
    async with engine(
        chain(), store=store.again(), provide={Script: script}, limits=Limits(page=1, stop_within=0.01)
    ) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place("new"), until=WANTED))
        script.answers["Place"] = Broken("no")
        await until(lambda: script.began.count("Charge") == 12 + 5)
        # it stands behind what is unread; as soon as it fails it is told, whatever is unread still
        story = next(iter(running._watching._stories.by_id.values()))
        await until(lambda: story.known)
        script.gates["Charge"].set()
        while not waiting.done():
            await running.advance(seconds=1)
        with pytest.raises(OutcomeUnknown, match="Broken: no"):
            await waiting


@only_on("memory", "sqlite", because="where several engines share a store, nobody looks through one memory")
async def test_many_who_ask_at_the_same_time_share_one_look() -> None:
    script = Script(closed={"Charge"})
    async with engine(chain(), provide={Script: script}) as running:
        receipts = [await running.send(Place(str(number))) for number in range(50)]
        await until(lambda: script.began.count("Charge") == 50)
        looks = 0
        look = running._watching._tracking._in_memory

        def counted() -> Any:
            nonlocal looks
            looks += 1
            return look()

        running._watching._tracking._in_memory = counted
        waiting = [asyncio.create_task(waited(running, receipt)) for receipt in receipts]
        await running.advance(seconds=0)
        script.gates["Charge"].set()
        assert len(await asyncio.gather(*waiting)) == 50
        assert looks == 1


# ---------------------------------------------------------------------- two ways to the same end


def two_ways() -> App:
    """What is placed is charged at two places: either will do."""
    app = chain()

    @app.handles(retry=Retry(1))
    async def charge_elsewhere(command: Elsewhere, script: Script) -> Charged | Declined:
        return await script.play(command, Declined(command.key, "not here"))

    @app.on
    def go_elsewhere(event: Placed) -> Elsewhere:
        return Elsewhere(event.key)

    return app


async def test_a_failure_is_not_the_answer_while_another_way_is_open() -> None:
    script = Script(closed={"Charge"})
    async with engine(two_ways(), provide={Script: script}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=WANTED))
        await until(lambda: "Elsewhere" in script.began)
        await running.advance(seconds=1)
        assert not waiting.done()
        script.gates["Charge"].set()
        assert await waiting == PaymentFinalized("a")


@pytest.mark.parametrize(
    ("at", "answer", "error", "words"), [one for one in FAILURES if one[0] not in ("Place", "Placed")]
)
async def test_the_failure_that_closes_the_last_way_is_told(
    at: str, answer: Any, error: type[Exception], words: str
) -> None:
    script = Script(answers={at: answer}, closed={"Charge"})
    async with engine(two_ways(), provide={Script: script}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=WANTED))
        await until(lambda: "Elsewhere" in script.began)
        await running.advance(seconds=1)
        script.gates["Charge"].set()
        with pytest.raises(error, match=words):
            await waiting
        assert not running._watching


async def test_a_store_that_cannot_be_read_is_asked_again() -> None:
    store = new_store()
    faulty = FaultyStore(store, At(1, Fault.FAILED, "read_story"), At(2, Fault.FAILED, "read_story"))
    script = Script(answers={"Charge": Declined("a", "poor")})
    async with engine(chain(), store=faulty, provide={Script: script}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=WANTED, timeout=5))
        await running.advance(seconds=1)
        with pytest.raises(Refused, match="poor"):
            await waiting
    with pytest.raises(Stopping):
        await running.wait(until=WANTED, correlation_id="x")


async def test_what_cannot_be_found_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(answers={"Charge": Declined("a", "poor")})
    async with engine(chain(), provide={Script: script}) as running:

        async def broken(*_: Any) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(running._watching._looking_back, "answer", broken)
        with pytest.raises(ZeroDivisionError, match="a bug"):
            await running.send_and_wait(Place(), until=WANTED)


# ---------------------------------------------------------------------- processes of other stories


def owned() -> App:
    """A process that a command starts, and that an event of another story leads on."""
    app = App("c")

    @app.handles(retry=Retry(1))
    async def charge(command: Charge, script: Script) -> Charged | Declined:
        return await script.play(command, Charged(command.key))

    @app.handles
    async def place(command: Place, script: Script) -> Placed:
        return Placed(command.key)

    @app.saga(key="key", receives=Placed)
    async def own(start: Elsewhere, saga: Saga) -> Charged:
        await saga.receive(Placed)
        return await saga.do(Charge(start.key), then=Charged)

    return app


async def test_a_process_of_another_story_goes_on_in_this_one() -> None:
    script = Script(closed={"Charge"})
    async with engine(owned(), provide={Script: script}) as running:
        begun = await running.send(Elsewhere("a"))
        waiting = asyncio.create_task(running.send_and_wait(Place("a"), until=Charged))
        await until(lambda: "Charge" in script.began)
        (story,) = {one.correlation_id for one in await running.store.read_messages()} - {begun.correlation_id}
        later = asyncio.create_task(running.wait(until=Charged, correlation_id=story))
        await running.advance(seconds=1)
        assert not waiting.done()
        assert not later.done()
        script.gates["Charge"].set()
        assert await asyncio.gather(waiting, later) == [Charged("a")] * 2


async def test_and_its_failure_is_told_in_this_one() -> None:
    script = Script(answers={"Charge": Declined("a", "poor")})
    async with engine(owned(), provide={Script: script}) as running:
        first = asyncio.create_task(running.send_and_wait(Elsewhere("a"), until=Charged))
        await running.settle()
        with pytest.raises(Refused, match="poor"):
            await running.send_and_wait(Place("a"), until=Charged, idempotency_key="k")
        with pytest.raises(Refused, match="poor"):
            await first
        with pytest.raises(Refused, match="poor"):
            await running.send_and_wait(Place("a"), until=Charged, idempotency_key="k")


async def test_a_cancel_is_told_in_the_story_that_it_ends() -> None:
    async with engine(owned(), provide={Script: Script()}) as running:
        first = asyncio.create_task(running.send_and_wait(Elsewhere("a"), until=Charged, idempotency_key="k"))
        await running.settle()
        await running.cancel("c.own", "a", reason="enough")
        with pytest.raises(OutcomeUnknown, match="enough"):
            await first
        with pytest.raises(OutcomeUnknown, match="enough"):
            await running.send_and_wait(Elsewhere("a"), until=Charged, idempotency_key="k")


@only_on("memory", "sqlite", because="among several engines the words differ: it led to no event")
async def test_a_command_whose_key_is_used_is_told_so_though_its_namesake_goes_on() -> None:
    async with engine(owned(), provide={Script: Script()}) as running:
        first = asyncio.create_task(running.send_and_wait(Elsewhere("a"), until=Charged))
        await running.settle()
        with pytest.raises(Refused, match="key"):
            await running.send_and_wait(Elsewhere("a"), until=Charged, idempotency_key="again")
        with pytest.raises(OutcomeUnknown, match="has come to its end without Charged"):
            await running.send_and_wait(Elsewhere("a"), until=Charged, idempotency_key="again")
        await running.publish(Placed("a"))
        assert await first == Charged("a")


@dataclass(frozen=True)
class Begun:
    key: str


@dataclass(frozen=True)
class Nudged:
    key: str


@only_on("memory", "sqlite", because="workers that share a store look such stories up, each after a while")
async def test_whom_one_instance_concerns_is_told_in_the_order_in_which_they_came() -> None:
    """In whatever order Python keeps them in a set: a seed of the simulation is to be the same run again."""
    app, told, many = App("t"), list[int](), 30

    @app.handles
    async def charge(command: Charge) -> Charged:
        return Charged(command.key)

    @app.saga(key="key", receives=Nudged)
    async def nudged(begun: Begun, saga: Saga) -> None:
        for _ in range(many + 1):
            await saga.receive(Nudged)
        if begun.key == "a":
            raise ValueError("a bug")
        await saga.do(Charge(begun.key), then=Charged)

    async with engine(app) as running:
        await running.publish(Begun("a"))

        async def wait(number: int, receipt: Receipt) -> None:
            with pytest.raises(OutcomeUnknown, match="a bug"):
                await running.wait(until=Charged, correlation_id=receipt.correlation_id)
            told.append(number)

        waiting = list[asyncio.Task[None]]()
        for number in range(many):
            waiting.append(asyncio.create_task(wait(number, await running.publish(Nudged("a")))))
            await running.settle()
        assert told == []
        await running.publish(Nudged("a"))
        await asyncio.gather(*waiting)
    assert told == list(range(many))
