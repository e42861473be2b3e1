"""What spans say of messages and processes: OpenTelemetry's semantic conventions, and `sagakit.*` for the rest.

Keys are left out: they may name a person. So are payloads.
"""

from __future__ import annotations

from sagakit.core.commit import Delivery, Envelope, Reaction
from sagakit.telemetry.traces.spans import Value


def of_message(envelope: Envelope, operation: str, name: str) -> dict[str, Value]:
    """`operation`: send or process, as the conventions have it; `name`: what it is called here."""
    return {
        "messaging.system": "sagakit",
        "messaging.operation.type": operation,
        "messaging.operation.name": name,
        "messaging.destination.name": envelope.type,
        "messaging.message.id": envelope.id,
        "messaging.message.conversation_id": envelope.correlation_id,
        "sagakit.message.kind": envelope.kind,
    }


def of_delivery(delivery: Delivery) -> dict[str, Value]:
    """A message that is handled."""
    envelope = delivery.envelope
    found = of_message(envelope, "process", verb(envelope))
    found["messaging.consumer.group.name"] = delivery.consumer
    found["sagakit.attempt"] = delivery.attempt
    if envelope.causation_id:
        found["sagakit.causation_id"] = envelope.causation_id
    if envelope.undoes:
        found["sagakit.undoes"] = envelope.undoes
    if envelope.sender:
        process, _, instance = envelope.sender.rpartition("/")
        found |= {"sagakit.process": process, "sagakit.instance": instance}
    return found


def of_reaction(reaction: Reaction) -> dict[str, Value]:
    """An input that an instance took."""
    row, given = reaction.instance, reaction.inputs[0]
    return {
        "sagakit.process": row.type,
        "sagakit.instance": row.id,
        "sagakit.process.status": reaction.status,
        "sagakit.process.version": row.definition,
        "sagakit.reaction": reaction.version,
        "messaging.message.id": given.id,
        "messaging.message.conversation_id": given.correlation_id,
        "sagakit.message.type": given.type,
    }


def verb(envelope: Envelope) -> str:
    """What handling a message is called in the name of its span."""
    return "process" if envelope.undoes is None else "undo"
