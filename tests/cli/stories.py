"""A database with a few processes in it, written by hand: no engine takes part."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sagakit.core.commit import (
    ENDED,
    Commit,
    Delivery,
    Envelope,
    Instance,
    InstanceWrite,
    Reaction,
    Search,
    Status,
)
from sagakit.core.messages import stable_id
from sagakit.core.process_manager.record import ManagerRecord
from sagakit.core.saga.compensation import Recorded, SagaRecord, Step, StepState
from sagakit.core.streams import instance_id, lane_name
from sagakit.ports import Store
from sagakit.stores.sqlite import SqliteStore

NOON = 1_795_262_400_000_000  # 2026-11-21 12:00:00 UTC
FULFIL = "orders.fulfil_order"


@dataclass
class Tale:
    """One process instance and its messages, on the way to become a Commit."""

    key: str
    type: str = FULFIL
    start: int = NOON
    messages: list[Envelope] = field(default_factory=list)
    reactions: list[tuple[tuple[Envelope, ...], tuple[Envelope, ...]]] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def id(self) -> str:
        return instance_id(self.type, self.key)

    def message(self, kind: Any, type: str, cause: Envelope | None, undoes: str | None, /, **fields: Any) -> Envelope:
        place = len(self.messages)
        made = Envelope(
            id=stable_id(self.key, str(place)),
            kind=kind,
            type=type,
            payload=msgspec.json.encode({"order_id": self.key, **fields}),
            correlation_id=stable_id(self.key),
            recorded_at=self.start + 2_500 * place,
            causation_id=cause.id if cause else None,
            sender=lane_name(self.type, self.id) if kind == "command" and cause else None,
            undoes=undoes,
        )
        self.messages.append(made)
        return made

    def event(self, type: str, cause: Envelope | None = None, /, **fields: Any) -> Envelope:
        return self.message("event", type, cause, None, **fields)

    def command(
        self, type: str, cause: Envelope | None = None, undoes: str | None = None, /, **fields: Any
    ) -> Envelope:
        return self.message("command", type, cause, undoes, **fields)

    def reacts(self, inputs: Sequence[Envelope], *outputs: Envelope) -> None:
        self.reactions.append((tuple(inputs), outputs))

    def step(self, taken: Envelope, command: str, *outcome: str, **fields: Any) -> tuple[Envelope, Envelope | None]:
        """React with a command, and let it lead to an outcome if there is one."""
        sent = self.command(command, taken)
        self.reacts((taken,), sent)
        return sent, self.event(outcome[0], sent, **fields) if outcome else None

    def commit(self, status: Status, record: SagaRecord | ManagerRecord, reason: str = "", **search: Any) -> Commit:
        row = Instance(self.id, self.type, self.key, 1, len(self.reactions), status, msgspec.json.encode(record))
        last = self.messages[-1].recorded_at
        found = Search(
            instance=self.id,
            type=self.type,
            key=self.key,
            status=status,
            correlation_id=self.messages[0].correlation_id,
            started_at=self.start,
            updated_at=last,
            ended_at=last if status in ENDED else None,
            cause=record.cause,
            reason=reason or record.reason,
            **search,
        )
        reactions = [Reaction(row, at, *messages) for at, messages in enumerate(self.reactions, 1)]
        return Commit(
            messages=self.messages,
            deliveries=self.deliveries,
            instances=[InstanceWrite(row, 0)],
            search=[found],
            reactions=reactions,
        )


def recorded(type: str, key: str) -> Recorded:
    return Recorded(type, 1, msgspec.Raw(msgspec.json.encode({"order_id": key})))


def placed(tale: Tale) -> Envelope:
    return tale.event("orders.OrderPlaced", tale.command("orders.PlaceOrder"), total="50.00")


def completed(key: str = "order-1", start: int = NOON) -> Commit:
    """Reserve, charge, confirm: all done."""
    tale = Tale(key, start=start)
    _, reserved = tale.step(placed(tale), "inventory.ReserveStock", "inventory.StockReserved")
    _, charged = tale.step(reserved or placed(tale), "payments.ChargePayment", "payments.PaymentCharged")
    _, confirmed = tale.step(charged or placed(tale), "orders.ConfirmOrder", "orders.OrderConfirmed")
    tale.reacts([confirmed] if confirmed else [])
    return tale.commit("completed", SagaRecord(sent=3))


def _declined(tale: Tale) -> tuple[SagaRecord, Envelope, Envelope]:
    """Charged, then refused at the confirmation: two steps are to be undone, and the order."""
    reserve, reserved = tale.step(placed(tale), "inventory.ReserveStock", "inventory.StockReserved")
    assert reserved
    charge, charged = tale.step(reserved, "payments.ChargePayment", "payments.PaymentCharged")
    assert charged
    _, refused = tale.step(charged, "orders.ConfirmOrder", "orders.ConfirmationRefused", reason="the shop has closed")
    assert refused
    refund = tale.command("payments.RefundPayment", refused, charge.id)
    tale.reacts((refused,), refund)
    record = SagaRecord(
        [
            Step(1, "", "", "succeeded", recorded("orders.CancelOrder", tale.key)),
            Step(2, reserve.id, reserve.type, "succeeded", recorded("inventory.ReleaseStock", tale.key)),
            Step(3, charge.id, charge.type, "undoing", recorded(refund.type, tale.key), refund.id),
        ],
        sent=4,
        undoing=True,
        cause="refused",
        reason="the shop has closed",
    )
    return record, refund, reserve


def compensated(key: str = "order-2", start: int = NOON) -> Commit:
    """All that was done is undone, in LIFO order."""
    tale = Tale(key, start=start)
    record, refund, reserve = _declined(tale)
    refunded = tale.event("payments.PaymentRefunded", refund)
    release = tale.command("inventory.ReleaseStock", refunded, reserve.id)
    tale.reacts((refunded,), release)
    released = tale.event("inventory.StockReleased", release)
    cancel = tale.command("orders.CancelOrder", released, "")
    tale.reacts((released,), cancel)
    cancelled = tale.event("orders.OrderCancelled", cancel)
    tale.reacts((cancelled,))
    for step, undo in zip(record.steps, (cancel, release, refund), strict=True):
        step.state, step.undo_id = "undone", undo.id
    return tale.commit("compensated", record)


def charging(key: str = "order-3", start: int = NOON, *, trace: str | None = None) -> Commit:
    """The charge is being tried again."""
    tale = Tale(key, start=start)
    reserve, reserved = tale.step(placed(tale), "inventory.ReserveStock", "inventory.StockReserved")
    assert reserved
    charge, _ = tale.step(reserved, "payments.ChargePayment")
    retrying = Delivery(
        charge,
        "payments.charge",
        charge.id,
        state="retrying",
        due_at=start + 60_000_000,
        attempt=3,
        error="ConnectionError: the card network is down",
    )
    tale.deliveries.append(retrying)
    sent: StepState = "sent"
    steps = [
        Step(1, reserve.id, reserve.type, "succeeded", recorded("inventory.ReleaseStock", key)),
        Step(2, charge.id, charge.type, sent, recorded("payments.RefundPayment", key)),
    ]
    return tale.commit("running", SagaRecord(steps, sent=2), trace_id=trace)


def stuck(key: str = "order-4", start: int = NOON) -> Commit:
    """The refund was given up: it waits for a person."""
    tale = Tale(key, start=start)
    record, refund, _ = _declined(tale)
    failed = tale.event(
        "sagakit.CommandFailed",
        refund,
        command_id=refund.id,
        type=refund.type,
        version=1,
        payload={},
        reason="GatewayDown: no answer for a day",
    )
    tale.reacts((failed,))
    record.steps[2].state = "undo_failed"
    parked = Delivery(
        refund,
        "payments.refund",
        refund.id,
        state="parked",
        attempt=8,
        error="GatewayDown: no answer for a day",
    )
    tale.deliveries.append(parked)
    return tale.commit("compensation_failed", record)


def checkout(key: str = "group-7", start: int = NOON) -> Commit:
    """A process manager that waits for two guests."""
    tale = Tale(key, "hotel.GroupCheckout", start)
    begun = tale.event("hotel.GroupCheckoutInitiated")
    both = [tale.command("hotel.CheckOut", begun, guest=guest) for guest in ("anna", "ben")]
    tale.reacts((begun,), *both)
    record = ManagerRecord(msgspec.Raw(b'{"waiting":["anna","ben"]}'))
    return tale.commit("running", record)


def everything() -> list[Commit]:
    minute = 60_000_000
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    return [
        completed(),
        compensated(start=NOON + minute),
        charging(start=NOON + 2 * minute, trace=trace),
        stuck(start=NOON + 3 * minute),
        checkout(start=NOON + 4 * minute),
    ]


def write(path: Path, commits: Sequence[Commit]) -> Path:
    """A database file that holds these."""

    async def writing() -> None:
        store: Store = SqliteStore(path)
        await store.open()
        assert await store.commit(commits) == [None] * len(commits)
        await store.close()

    asyncio.run(writing())
    return path
