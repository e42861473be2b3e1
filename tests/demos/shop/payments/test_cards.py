"""The card provider: charges once a key, also across a crash."""

import asyncio
import os
import random
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sagakit.demos.shop.payments.cards import LIMIT, Books, Cards, Declined
from sagakit.demos.shop.payments.ledger import Ledger, LedgerUnusable

FIFTY = Decimal("50.00")


def books(path: Path) -> list[dict[str, str]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


async def test_charges_once_a_key() -> None:
    cards = Cards()
    payment_id = await cards.charge("o-1", FIFTY, idempotency_key="k-1")
    assert await cards.charge("o-1", FIFTY, idempotency_key="k-1") == payment_id
    assert await cards.charge("o-2", FIFTY, idempotency_key="k-2") != payment_id
    assert await cards.refund("o-1") == FIFTY


async def test_declines_above_the_limit() -> None:
    assert await Cards().charge("o-1", LIMIT, idempotency_key="k-1")
    with pytest.raises(Declined, match=r"500\.01 is above the limit of 500\.00"):
        await Cards().charge("o-1", LIMIT + Decimal("0.01"), idempotency_key="k-1")


async def test_a_refund_that_comes_first_succeeds_and_is_remembered(tmp_path: Path) -> None:
    cards = Cards(Books(tmp_path / "cards"))
    assert await cards.refund("o-1") == 0
    cards.close()
    with pytest.raises(Declined, match="refunded before"):
        await Cards(Books(tmp_path / "cards")).charge("o-1", FIFTY, idempotency_key="k-1")


async def test_refunds_once(tmp_path: Path) -> None:
    cards = Cards(Books(tmp_path / "cards"))
    await cards.charge("o-1", FIFTY, idempotency_key="k-1")
    assert [await cards.refund("o-1"), await cards.refund("o-1")] == [FIFTY, FIFTY]
    assert [entry["op"] for entry in books(tmp_path / "cards")] == ["charge", "refund"]


async def test_remembers_keys_across_a_restart(tmp_path: Path) -> None:
    before = Cards(Books(tmp_path / "cards"))
    payment_id = await before.charge("o-1", FIFTY, idempotency_key="k-1")
    before.close()
    after = Cards(Books(tmp_path / "cards"))
    assert await after.charge("o-1", FIFTY, idempotency_key="k-1") == payment_id
    assert await after.refund("o-1") == FIFTY
    assert books(tmp_path / "cards") == [
        {"op": "charge", "order_id": "o-1", "amount": "50.00", "key": "k-1", "payment_id": payment_id},
        {"op": "refund", "order_id": "o-1", "amount": "50.00"},
    ]


async def test_a_line_that_was_cut_short_was_never_answered(tmp_path: Path) -> None:
    path = tmp_path / "cards"
    cards = Cards(Books(path))
    await cards.charge("o-1", FIFTY, idempotency_key="k-1")
    cards.close()
    with path.open("ab") as file:
        file.write(b'{"op":"charge","order_id":"o-2","am')
    cards = Cards(Books(path))
    await cards.charge("o-3", FIFTY, idempotency_key="k-3")
    assert [entry["order_id"] for entry in books(path)] == ["o-1", "o-3"]


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cards"
    path.write_text("dear diary\nno newline here")
    with pytest.raises(LedgerUnusable, match="line 1 is no entry"):
        Cards(Books(path))
    assert path.read_text() == "dear diary\nno newline here"


def test_one_process_keeps_the_books(tmp_path: Path) -> None:
    cards = Cards(Books(tmp_path / "cards"))
    with pytest.raises(LedgerUnusable, match="in use by another process"):
        Cards(Books(tmp_path / "cards"))
    cards.close()
    Cards(Books(tmp_path / "cards")).close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnusable, match="cannot be opened"):
        Cards(Books(tmp_path / "file" / "cards"))


def held(monkeypatch: pytest.MonkeyPatch, before: Callable[[], object]) -> list[int]:
    """Count the fsyncs, each of which first does `before`."""
    synced: list[int] = []
    fsync = os.fsync

    def counting(file: int) -> None:
        before()
        fsync(file)
        synced.append(file)

    monkeypatch.setattr("sagakit.demos.shop.payments.ledger.os.fsync", counting)
    return synced


async def test_no_answer_before_the_disk_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards, allowed = Cards(Books(tmp_path / "cards")), threading.Event()
    held(monkeypatch, lambda: allowed.wait(10))
    first = asyncio.ensure_future(cards.charge("o-1", FIFTY, idempotency_key="k-1"))
    again = asyncio.ensure_future(cards.charge("o-1", FIFTY, idempotency_key="k-1"))
    done, _ = await asyncio.wait([first, again], timeout=0.05)
    assert not done
    allowed.set()
    assert await first == await again
    assert len(books(tmp_path / "cards")) == 1


async def test_a_hundred_charges_share_few_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = Cards(Books(tmp_path / "cards"))
    synced = held(monkeypatch, lambda: None)
    await asyncio.gather(*(cards.charge(f"o-{n}", FIFTY, idempotency_key=f"k-{n}") for n in range(100)))
    assert len(books(tmp_path / "cards")) == 100
    assert len(synced) < 10


async def test_who_is_cancelled_while_it_is_written_leaves_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards, allowed, reached = Cards(Books(tmp_path / "cards")), threading.Event(), threading.Event()
    held(monkeypatch, lambda: (reached.set(), allowed.wait(10)))
    charge = asyncio.ensure_future(cards.charge("o-1", FIFTY, idempotency_key="k-1"))
    await asyncio.to_thread(reached.wait, 10)
    charge.cancel()
    await asyncio.wait([charge])
    allowed.set()
    await cards.charge("o-1", FIFTY, idempotency_key="k-1")
    assert len(books(tmp_path / "cards")) == 1


async def test_many_who_flush_again_and_again_all_come_through(tmp_path: Path) -> None:
    # a flush between the end of a write and its callback once waited for a future that was done, without end
    ledger, chance = Ledger(tmp_path / "cards"), random.Random(1)

    async def write_some() -> None:
        for _ in range(50):
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            ledger.append(b"x")
            await ledger.flush()

    await asyncio.gather(*(write_some() for _ in range(20)))
    ledger.close()
    assert (tmp_path / "cards").read_bytes() == b"x\n" * 1000


async def test_a_write_that_fails_is_told_and_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = Cards(Books(tmp_path / "cards"))
    with monkeypatch.context() as broken:

        def no_space(file: int) -> None:
            raise OSError(28, "No space left on device")

        broken.setattr("sagakit.demos.shop.payments.ledger.os.fsync", no_space)
        with pytest.raises(OSError, match="No space"):
            await cards.charge("o-1", FIFTY, idempotency_key="k-1")
        assert (tmp_path / "cards").read_bytes() == b""
    await cards.charge("o-1", FIFTY, idempotency_key="k-1")
    assert len(books(tmp_path / "cards")) == 1


async def test_nothing_to_write_needs_no_disk(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    assert list(ledger.read()) == []
    await ledger.flush()
    ledger.close()
