"""The outcomes of commands that came over a topic, on their way back."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote

import msgspec

from sagakit.core.commit import Envelope
from sagakit.core.lifecycle import CommandFailed, CommandLedToNothing
from sagakit.core.messages import pinned
from sagakit.transports.kafka.form.outcomes import FAILED, NOTHING, SEVERAL, FailedPayload, OneEvent
from sagakit.transports.kafka.form.wire import WireMessage

_OWN = {pinned(cls): cls for cls in (CommandFailed, CommandLedToNothing)}
"""What the engine itself says of a command."""


def address(replier: str, command: WireMessage) -> str:
    """Where the outcome of a command goes: a lane of the replier. Those of one key stay in order."""
    key = command.id if command.key is None else command.key
    return f"{replier}/{quote(command.reply_to or '', safe='')}:{quote(key, safe='')}"


def place_of(address: str) -> tuple[str, str]:
    """The topic and the key of an address."""
    topic, _, key = address.rpartition("/")[2].partition(":")
    return unquote(topic), unquote(key)


def reply(events: Sequence[Envelope], source: str, key: str, trace: str | None) -> WireMessage:
    """An outcome, as the sender of its command is told; `trace`: where that is done."""
    first = events[0]
    assert first.causation_id is not None
    type, version, payload = first.type, first.version, first.payload
    own = _OWN.get((type, version))
    if own is CommandFailed:
        told = msgspec.json.decode(payload, type=CommandFailed)
        type, version, payload = FAILED, 1, msgspec.json.encode(FailedPayload(told.reason, told.known_not_done))
    elif own is CommandLedToNothing:
        type, version, payload = NOTHING, 1, b"{}"
    elif len(events) > 1:
        several = [OneEvent(one.type, msgspec.Raw(one.payload), one.version) for one in events]
        type, version, payload = SEVERAL, 1, msgspec.json.encode(several)
    return WireMessage(
        id=first.id,
        type=type,
        version=version,
        payload=payload,
        source=source,
        key=key,
        time=first.recorded_at,
        correlation_id=first.correlation_id,
        causation_id=first.causation_id,
        trace=trace,
        outcome="failed" if own is CommandFailed else "declared",
    )
