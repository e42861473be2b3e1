"""What clients do, whatever the app: ask until they are answered, and remember what they were told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sagakit.core.messages import Message
from sagakit.engine.engine import Engine
from sagakit.engine.inbox import Receipt
from sagakit.testing.simulation.stage import Clients, Stage


async def send(stage: Stage, clients: Clients, key: str, command: Message) -> None:
    """Send a command under a key, until it is acknowledged."""
    await _ask(stage, clients, key, lambda engine: engine.send(command, idempotency_key=key))


async def publish(stage: Stage, clients: Clients, key: str, event: Message) -> None:
    """Publish an event under a key, until it is acknowledged."""
    await _ask(stage, clients, key, lambda engine: engine.publish(event, idempotency_key=key))


async def _ask(stage: Stage, clients: Clients, key: str, ask: Callable[[Engine], Awaitable[Receipt]]) -> None:
    sent = stage.loop.micros()
    receipt = await clients.ask(ask)
    stage.note(f"{key} is acknowledged as {receipt.message_id}")
    stage.ordering.sent.setdefault(receipt.message_id, (sent, stage.loop.micros()))
    stage.ledger.receipts[key] = receipt
    stage.ledger.keys.setdefault(key, []).append(receipt)
