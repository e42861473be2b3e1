"""A participant of several processes behind a fast path that they share."""

from __future__ import annotations

from tests.idempotency.shelf import Books, Gateway, Shelf, Time
from tests.participant.test_participant import DO, UNDO, Bank, billing, events

from sagakit import TerminalError
from sagakit.participant import InMemory


class Counting(InMemory):
    """A memory that counts what it is asked."""

    asked = 0

    def transaction(self, participant: str):  # type: ignore[no-untyped-def]
        self.asked += 1
        return super().transaction(participant)


async def test_a_repeat_at_another_process_does_not_reach_the_memory() -> None:
    bank, memory, time = Bank(), Counting(), Time()
    shelf = Shelf(time)
    one, two = (billing(bank, memory, Gateway(shelf, Books(), time).fast) for _ in range(2))
    first = await one.handle(DO)
    asked = memory.asked
    again = await two.handle(DO)
    assert (events(again), again.id, again.repeated) == (events(first), first.id, True)
    assert (bank.charged, memory.asked) == (["1"], asked)


async def test_that_an_undo_failed_is_not_copied() -> None:
    bank, time = Bank(), Time()
    shelf = Shelf(time)
    participant = billing(bank, InMemory(), Gateway(shelf, Books(), time).fast)
    await participant.handle(DO)
    bank.raises = [TerminalError("out of order")]
    assert (await participant.handle(UNDO)).failed
    assert len(shelf.values) == 1
    assert not (await participant.handle(UNDO)).failed
    assert bank.refunded == ["1"]


async def test_a_claim_that_was_left_behind_makes_the_memory_answer() -> None:
    class Forgetful(Shelf):
        async def put(self, name: str, value: bytes, keep: float) -> None:
            raise ConnectionError("gone meanwhile")

    bank, memory, time = Bank(), InMemory(), Time()
    shelf = Forgetful(time)
    one, two = (billing(bank, memory, Gateway(shelf, Books(), time).fast) for _ in range(2))
    await one.handle(DO)
    assert shelf.values
    assert (await two.handle(DO)).repeated
    assert bank.charged == ["1"]
