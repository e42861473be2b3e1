"""What is due becomes a message: an instance is told its timer, a command that was sent for later goes its way."""

from __future__ import annotations

import msgspec

from sagakit.core.commit import Delivery, Envelope
from sagakit.engine.draft import Draft
from sagakit.engine.routing import BAD_KEY, DOOR, Router
from sagakit.engine.topology import ProcessConsumer
from sagakit.errors import InvalidMessage


class Firing:
    """Writes the Commit of a scheduled delivery that is due: its row goes, its message enters the log."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._topology = router.topology

    def is_taken(self, delivery: Delivery) -> bool:
        """Whether somebody takes what is scheduled here, if its message is known."""
        if delivery.consumer != DOOR:
            return isinstance(self._topology.consumers.get(delivery.consumer), ProcessConsumer)
        cls = self._topology.codecs.by_name[delivery.envelope.type].cls
        return cls in self._topology.handlers or cls in self._topology.starters

    async def write(self, draft: Draft, delivery: Delivery, *, inline: bool) -> None:
        """Add to a draft that a delivery is due. Not `inline`: nothing reacts to it in this Commit."""
        draft.finish(delivery)
        envelope = msgspec.structs.replace(delivery.envelope, recorded_at=self._router.clock.now())
        draft.commit.messages.append(envelope)
        if not inline:
            draft.by_delivery()
        process = self._topology.consumers.get(delivery.consumer)
        if isinstance(process, ProcessConsumer):
            await self._router.processes.tell(draft, process, delivery.lane, None, (envelope,))
        elif self._is_readable(envelope):
            await self._router.commands(draft, (envelope,))
        else:
            self._give_to_be_parked(draft, envelope)

    def _is_readable(self, envelope: Envelope) -> bool:
        try:
            envelope.message = self._topology.codecs.decode(envelope.type, envelope.version, envelope.payload)
        except InvalidMessage:
            return False
        return True

    def _give_to_be_parked(self, draft: Draft, envelope: Envelope) -> None:
        """The shape of a command has changed since it was sent: its consumer's delivery is given up by itself."""
        cls = self._topology.codecs.by_name[envelope.type].cls
        handler = self._topology.handlers.get(cls) or self._topology.starters[cls][0]
        draft.deliver(envelope, handler.name, f"{BAD_KEY}{handler.name}/{envelope.id}")
