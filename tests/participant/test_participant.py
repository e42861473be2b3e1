"""A participant: each command once by its id, early undos, answers that stand with their effects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.engine.stage import until
from tests.participant.transactions import beginning

from sagakit import Refused, TerminalError, UnknownMessage, wire
from sagakit.errors import StoreUnusable
from sagakit.idempotency import FastPath, fast_path
from sagakit.participant import InMemory, Memory, Participant, PostgresMemory, Reply, Request, open_memory
from sagakit.stores.sqlite.participant import SqliteMemory


@dataclass(frozen=True)
class Charge:
    key: str
    amount: int = 5


@dataclass(frozen=True)
class Charged:
    key: str


@wire("billing.no-money")
@dataclass(frozen=True)
class Declined:
    key: str
    reason: str


@dataclass(frozen=True)
class Refund:
    key: str


@dataclass(frozen=True)
class Refunded:
    key: str


@dataclass
class Bank:
    """What is done, and what goes wrong."""

    charged: list[str] = field(default_factory=list[str])
    refunded: list[str] = field(default_factory=list[str])
    raises: list[Exception] = field(default_factory=list[Exception])
    gate: asyncio.Event | None = None

    async def charge(self, command: Charge) -> Charged | Declined:
        if self.gate is not None:
            await self.gate.wait()
        if command.amount > 100:
            return Declined(command.key, "no money")
        self.charged.append(command.key)
        if self.raises:
            raise self.raises.pop(0)
        return Charged(command.key)


def billing(bank: Bank, memory: Memory | str = "memory://", fast: FastPath | None = None) -> Participant:
    participant = Participant("billing", memory=memory, provide={Bank: bank}, fast=fast)

    @participant.handles
    async def charge(command: Charge, bank: Bank, request: Request) -> Charged | Declined:
        return await bank.charge(command)

    @participant.handles()
    def refund(command: Refund, bank: Bank) -> Refunded:
        if bank.raises:
            raise bank.raises.pop(0)
        bank.refunded.append(command.key)
        return Refunded(command.key)

    return participant


def asks(command: Any, id: str = "c1", *, type: str = "", **more: Any) -> Request:
    name = type or f"billing.{command.__class__.__name__}"
    return Request(id=id, type=name, payload=msgspec.json.encode(command), correlation_id="story", **more)


def events(reply: Reply) -> list[tuple[str, Any]]:
    return [(one.type, msgspec.json.decode(one.payload)) for one in reply.events]


DO, UNDO = asks(Charge("1")), asks(Refund("1"), "u1", undoes="c1")


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture(
    params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.long), "memory behind a fast path"]
)
async def participant(request: pytest.FixtureRequest, bank: Bank, tmp_path: Path) -> AsyncIterator[Participant]:
    memory: Memory = SqliteMemory(tmp_path / "billing.db") if request.param == "sqlite" else InMemory()
    if request.param == "postgresql":
        memory = PostgresMemory(beginning(request.getfixturevalue("postgres_url")))
    fast = fast_path(None) if "fast" in request.param else None
    async with billing(bank, memory, fast) as opened:
        yield opened


# ---------------------------------------------------------------------- once


async def test_a_command_is_done_and_answered(participant: Participant, bank: Bank) -> None:
    reply = await participant.handle(DO)
    assert events(reply) == [("billing.Charged", {"key": "1"})]
    assert (reply.causation_id, reply.correlation_id, reply.outcome, reply.repeated) == (
        "c1",
        "story",
        "declared",
        False,
    )
    assert bank.charged == ["1"]


async def test_one_that_comes_again_is_answered_again_and_not_done(participant: Participant, bank: Bank) -> None:
    first = await participant.handle(DO)
    again = await participant.handle(DO)
    assert (events(again), again.repeated, again.id) == (events(first), True, first.id)
    assert bank.charged == ["1"]


async def test_two_at_the_same_time_are_done_once(participant: Participant, bank: Bank) -> None:
    bank.gate = asyncio.Event()
    both = asyncio.gather(participant.handle(DO), participant.handle(DO))
    await asyncio.sleep(0)
    bank.gate.set()
    assert sorted(reply.repeated for reply in await both) == [False, True]
    assert bank.charged == ["1"]
    assert participant._busy == {}


async def test_a_refusal_is_an_answer_like_any_other(participant: Participant, bank: Bank) -> None:
    reply = await participant.handle(asks(Charge("1", 200)))
    assert events(reply) == [("billing.no-money", {"key": "1", "reason": "no money"})]
    assert (await participant.handle(asks(Charge("1", 200)))).repeated


async def test_an_error_is_no_answer_and_the_command_comes_again(participant: Participant, bank: Bank) -> None:
    bank.raises = [ConnectionError("away")]
    with pytest.raises(ConnectionError):
        await participant.handle(DO)
    reply = await participant.handle(DO)
    assert (reply.outcome, reply.repeated) == ("declared", False)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TerminalError("out of order"), ("TerminalError: out of order", False)),
        (Refused("not today"), ("not today", True)),
    ],
)
async def test_a_failure_is_remembered(
    participant: Participant, bank: Bank, error: Exception, said: tuple[str, bool]
) -> None:
    bank.raises = [error]
    reply = await participant.handle(DO)
    assert (reply.outcome, reply.failed, reply.known_not_done) == ("failed", *said)
    again = await participant.handle(DO)
    assert (again.failed, again.known_not_done, again.repeated) == (*said, True)
    assert bank.charged == ["1"]


async def test_a_command_that_cannot_be_read_is_not_done(participant: Participant, bank: Bank) -> None:
    reply = await participant.handle(msgspec.structs.replace(DO, payload=b'{"key": 3}'))
    assert reply.known_not_done
    assert "billing.Charge: key: Expected `str`" in str(reply.failed)
    assert bank.charged == []


@wire("billing.Settle", version=3)
@dataclass(frozen=True)
class Settle:
    key: str
    cents: int
    currency: str


@dataclass(frozen=True)
class Settled:
    key: str
    cents: int
    currency: str


@pytest.mark.parametrize("first", ["handler", "upcaster"])
async def test_commands_of_older_senders_are_lifted(first: str) -> None:
    billing = Participant("billing", memory="memory://")

    def handle() -> None:
        @billing.handles
        async def settle(command: Settle) -> Settled:
            return Settled(command.key, command.cents, command.currency)

    if first == "handler":
        handle()

    @billing.upcasts(Settle, version=1)
    def in_cents(fields: dict[str, Any]) -> dict[str, Any]:
        return {"key": fields["key"], "cents": fields["euros"] * 100}

    @billing.upcasts(Settle, version=2)
    def with_currency(fields: dict[str, Any]) -> dict[str, Any]:
        return fields | {"currency": "EUR"}

    if first == "upcaster":
        handle()

    async with billing:

        async def settled(id: str, version: int, payload: bytes) -> Any:
            return await billing.handle(Request(id=id, type="billing.Settle", payload=payload, version=version))

        for version, payload in ((1, b'{"key":"k","euros":5}'), (2, b'{"key":"k","cents":500}')):
            (event,) = (await settled(f"c-{version}", version, payload)).events
            assert bytes(event.payload) == b'{"key":"k","cents":500,"currency":"EUR"}'
        newer = await settled("c-4", 4, b'{"key":"k"}')
        assert newer.known_not_done
        assert newer.failed == "billing.Settle version 4 is newer than this code's 3: update the code"
    for version in (0, 3):
        with pytest.raises(TypeError, match=f"from version {version}, but its version is 3"):
            billing.upcasts(Settle, version=version)


async def test_a_command_of_nobodys(participant: Participant) -> None:
    with pytest.raises(UnknownMessage):
        await participant.handle(asks(Charge("1"), type="orders.Place"))
    with pytest.raises(TerminalError, match="is an event"):
        await participant.handle(asks(Charged("1")))


# ---------------------------------------------------------------------- undos


async def test_what_was_done_is_undone(participant: Participant, bank: Bank) -> None:
    await participant.handle(DO)
    reply = await participant.handle(UNDO)
    assert events(reply) == [("billing.Refunded", {"key": "1"})]
    assert (await participant.handle(UNDO)).repeated
    assert bank.refunded == ["1"]


async def test_an_undo_of_something_unseen_is_answered_and_the_do_that_comes_later_is_refused(
    participant: Participant, bank: Bank
) -> None:
    reply = await participant.handle(UNDO)
    assert (reply.outcome, events(reply)) == ("declared", [])
    late = await participant.handle(DO)
    assert (late.failed, late.known_not_done) == ("it was undone before it came", True)
    assert (await participant.handle(DO)).known_not_done
    another = await participant.handle(asks(Refund("1"), "u2", undoes="c1"))
    assert (another.outcome, events(another)) == ("declared", [])
    assert (await participant.handle(UNDO)).repeated
    assert (bank.charged, bank.refunded) == ([], [])


async def test_an_undo_waits_for_its_do(participant: Participant, bank: Bank) -> None:
    bank.gate = asyncio.Event()
    do = asyncio.create_task(participant.handle(DO))
    await until(lambda: participant._busy)
    undo = asyncio.create_task(participant.handle(UNDO))
    await asyncio.wait([undo], timeout=0.1)
    assert (undo.done(), bank.refunded) == (False, [])
    bank.gate.set()
    await asyncio.gather(do, undo)
    assert (bank.charged, bank.refunded) == (["1"], ["1"])


async def test_what_has_begun_and_failed_is_undone(participant: Participant, bank: Bank) -> None:
    """An error after the effect: the participant cannot know, so its undo runs."""
    bank.raises = [ConnectionError("away")]
    with pytest.raises(ConnectionError):
        await participant.handle(DO)
    await participant.handle(UNDO)
    assert bank.refunded == ["1"]


async def test_what_is_known_not_to_be_done_needs_no_undo(participant: Participant, bank: Bank) -> None:
    bank.raises = [Refused("not today")]
    await participant.handle(DO)
    assert events(await participant.handle(UNDO)) == []
    assert bank.refunded == []


async def test_an_undo_that_failed_is_tried_anew(participant: Participant, bank: Bank) -> None:
    await participant.handle(DO)
    bank.raises = [TerminalError("shut")]
    assert (await participant.handle(UNDO)).failed == "TerminalError: shut"
    assert events(await participant.handle(UNDO)) == [("billing.Refunded", {"key": "1"})]


# ---------------------------------------------------------------------- in one transaction


async def test_effect_and_answer_stand_together(tmp_path: Path) -> None:
    memory = SqliteMemory(tmp_path / "billing.db")
    participant = Participant("billing", memory=memory)
    errors: list[Exception] = [ConnectionError("away"), TerminalError("broken")]

    @participant.handles
    async def charge(command: Charge, connection: Any) -> Charged:
        connection.execute("INSERT INTO charges VALUES (?)", (command.key,)).fetchall()
        if errors:
            raise errors.pop(0)
        return Charged(command.key)

    async with participant:
        assert memory._connection is not None
        memory._connection.execute("CREATE TABLE charges (key TEXT)").fetchall()
        with pytest.raises(ConnectionError):
            await participant.handle(DO)
        assert (await participant.handle(asks(Charge("2"), "c2"))).failed == "TerminalError: broken"
        assert memory._connection.execute("SELECT key FROM charges").fetchall() == []
        # nothing of it was begun: its undo has nothing to do
        assert (await participant.handle(DO)).outcome == "declared"
        assert (await participant.handle(DO)).repeated
        assert memory._connection.execute("SELECT key FROM charges").fetchall() == [("1",)]


async def test_what_was_answered_outlives_the_process(tmp_path: Path, bank: Bank) -> None:
    url = f"sqlite:///{tmp_path / 'billing.db'}"
    async with billing(bank, url) as first:
        await first.handle(DO)
        await first.handle(asks(Refund("9"), "u9", undoes="c9"))
    async with billing(bank, url) as second:
        assert (await second.handle(DO)).repeated
        assert (await second.handle(asks(Charge("9"), "c9"))).known_not_done
    assert bank.charged == ["1"]


async def test_two_processes_on_one_file_do_it_once(tmp_path: Path) -> None:
    path, ran = tmp_path / "billing.db", list[str]()

    def one() -> Participant:
        participant = Participant("billing", memory=SqliteMemory(path))

        @participant.handles
        async def charge(command: Charge, connection: Any) -> Charged:
            ran.append(command.key)
            return Charged(command.key)

        return participant

    async with one() as first, one() as second:
        replies = await asyncio.gather(first.handle(DO), second.handle(DO))
    assert sorted(reply.repeated for reply in replies) == [False, True]
    assert ran == ["1"]


# ---------------------------------------------------------------------- memories


async def test_participants_of_one_memory_are_apart(bank: Bank) -> None:
    memory = InMemory()
    await billing(bank, memory).handle(DO)
    other = Participant("other", memory=memory)

    @other.handles
    async def charge(command: Charge) -> Charged:
        return Charged("other")

    assert not (await other.handle(asks(Charge("1"), type="other.Charge"))).repeated


async def test_a_transaction_that_raises_leaves_nothing(participant: Participant) -> None:
    async def fails() -> None:
        async with participant.memory.transaction("billing") as remembering:
            assert (await remembering.recall("c")).new
            await remembering.remember("c", b"{}")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    async with participant.memory.transaction("billing") as remembering:
        assert (await remembering.recall("c")).new


async def test_what_is_old_is_forgotten(participant: Participant, bank: Bank) -> None:
    await participant.handle(DO)
    assert await participant.memory.forget("billing", 3600) == 0
    assert await participant.memory.forget("another", 0) == 0
    assert await participant.memory.forget("billing", -1) == 1
    outlived = participant._fast is not None  # a copy is forgotten by itself
    assert (await participant.handle(DO)).repeated == outlived


def test_urls_of_memories(tmp_path: Path) -> None:
    assert isinstance(open_memory("memory://"), InMemory)
    assert isinstance(open_memory("sqlite:///a.db"), SqliteMemory)
    assert isinstance(open_memory("a.db"), SqliteMemory)
    for url in ("postgresql://a/b", "sqlite://", "redis://"):
        with pytest.raises(StoreUnusable, match="names no memory"):
            open_memory(url)


async def test_a_memory_that_is_not_open(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="is not open"):
        async with SqliteMemory(tmp_path / "a.db").transaction("a"):
            pass


def test_a_table_with_an_odd_name() -> None:
    with pytest.raises(ValueError, match="table="):
        PostgresMemory(lambda: None, table="a; drop table b")  # type: ignore[arg-type, return-value]


# ---------------------------------------------------------------------- declared wrongly


def test_what_is_wrong_with_a_handler() -> None:
    participant = Participant("billing", memory="memory://")

    async def nothing(command: str) -> Charged:
        return Charged("")

    async def unprovided(command: Charge, bank: Bank) -> Charged:
        return Charged("")

    async def one(command: Charge) -> Charged:
        return Charged("")

    with pytest.raises(TypeError, match="must name the command"):
        participant.handles(nothing)
    with pytest.raises(TypeError, match="nobody provides bank: Bank"):
        participant.handles(unprovided)
    participant.handles(one)
    with pytest.raises(TypeError, match=r"two handlers for billing\.Charge"):
        participant.handles(one)
