"""A request answered by a participant: each command once, by the request's idempotency key."""

from __future__ import annotations

from typing import Protocol

from uuid_utils import uuid7

from sagakit.core.codec import Codecs
from sagakit.core.messages import Message
from sagakit.core.participation.messages import Reply, Request
from sagakit.errors import OutcomeUnknown, Refused
from sagakit.transports.grpc.answering.incoming import current


class Participates(Protocol):
    """What a `sagakit.participant.Participant` is to a service."""

    @property
    def codecs(self) -> Codecs: ...

    async def handle(self, request: Request) -> Reply: ...


async def done_by(participant: Participates, command: Message) -> Message | None:
    """What a command of the request that is being answered has led to, now or when it came first; None: nothing.

    An undo of what has never come leads to nothing, and is remembered: what it undoes is refused when it comes. A
    request without an idempotency key is a new one each time. Raises Refused, OutcomeUnknown, and what its handler
    raises that is no answer.
    """
    incoming = current()
    codec, payload, _ = participant.codecs.seal(command)
    reply = await participant.handle(
        Request(
            id=incoming.idempotency_key or uuid7().hex,
            type=codec.name,
            payload=payload,
            version=codec.version,
            correlation_id=incoming.correlation_id or "",
            causation_id=incoming.causation_id,
            undoes=incoming.undoes,
            trace=incoming.trace,
        )
    )
    if reply.failed is not None:
        raise Refused(reply.failed) if reply.known_not_done else OutcomeUnknown(reply.failed)
    for led in reply.events:
        event: Message = participant.codecs.decode(led.type, led.version, bytes(led.payload))
        return event
    return None
