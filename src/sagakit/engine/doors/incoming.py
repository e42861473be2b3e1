"""The door for messages of other services: they keep their ids and their story; repeats and early undos are known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sagakit.core.commit import Envelope, Kind
from sagakit.core.messages import Message
from sagakit.core.streams import checked
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.handlers.withdrawing import Withdrawing
from sagakit.engine.inbox import ANYTHING, Door, either, entry
from sagakit.ports import Origin, Receipt, Store


class Incoming:
    """Takes commands and events that other services have made."""

    def __init__(self, door: Door, store: Store, read: Reader, withdrawing: Withdrawing) -> None:
        self._door = door
        self._store = store
        self._read = read
        self._withdrawing = withdrawing

    async def accept(self, message: Message, kind: Kind, origin: Origin, trace: str | None) -> Receipt:
        """Record a message as its service has made it. A repeat is the first receipt again.

        Raises InvalidMessage for an id that is too long.
        """
        for name in ("message_id", "correlation_id", "causation_id", "undoes", "key"):
            checked(name, getattr(origin, name) or "")
        envelope = self._door.new_envelope(message, kind, trace=trace)
        envelope.id = origin.message_id
        envelope.correlation_id = origin.correlation_id
        envelope.causation_id = origin.causation_id
        envelope.undoes = origin.undoes
        envelope.sender = origin.sender
        return await self._door.observed(envelope, lambda: self._record(envelope, origin))

    async def _record(self, envelope: Envelope, origin: Origin) -> Receipt:
        self._door.check_room()
        receipt = Receipt(envelope.id, envelope.correlation_id)
        digest = either(self._door.digest(envelope), origin.digest)
        known = entry(origin.source, origin.key or origin.message_id, digest, receipt)
        return await self._door.write(self._building(envelope, origin), known, envelope) or receipt

    def _building(self, envelope: Envelope, origin: Origin) -> Callable[[Draft], Awaitable[None]]:
        async def build(draft: Draft) -> None:
            if origin.undoes is not None:
                await self._forestall(draft, origin, origin.undoes)
            await self._door.route(draft, envelope)

        return build

    async def _forestall(self, draft: Draft, origin: Origin, undoes: str) -> None:
        """An undo never races its do: what is still to do of that is taken back; if it comes later, it is not new."""
        if await self._read(self._store.read_inbox, origin.source, undoes) is not None:
            await self._withdrawing.decide(draft, undoes)
        else:
            draft.commit.inbox.append(entry(origin.source, undoes, ANYTHING, Receipt(undoes, origin.correlation_id)))
