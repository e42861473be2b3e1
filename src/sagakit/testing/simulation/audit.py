"""What holds for every app, read from the store's data and the clients' receipts alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from sagakit.core.commit import ENDED, Envelope
from sagakit.stores.memory import MemoryData
from sagakit.testing.simulation.stage import Finding, Stage


def audit_store(stage: Stage) -> Iterator[Finding]:
    """Promises 1, 2, 5 and 7, order among clients' messages, and that time never goes back."""
    data = stage.data
    yield from _acknowledged(stage)
    yield from _twice(data)
    yield from _outcomes(data)
    yield from _histories(data)
    yield from _times(data)
    yield from _ends(stage)
    if stage.profile.crew > 1:
        yield from (Finding("wrong", 4, overtaken) for overtaken in stage.ordering.audit(data))


def _acknowledged(stage: Stage) -> Iterator[Finding]:
    """An acknowledgement follows the Commit; the same key gets the same one."""
    known = {message.id for message in stage.data.messages}
    for key, receipts in stage.ledger.keys.items():
        for receipt in receipts:
            if receipt.message_id not in known:
                yield Finding("lost", 1, f"{key} was acknowledged as {receipt.message_id}, which is not in the log")
        if len({receipt.message_id for receipt in receipts}) > 1:
            yield Finding("doubled", 2, f"{key} was acknowledged as several messages")


def _twice(data: MemoryData) -> Iterator[Finding]:
    """No message twice in the log, none taken twice by an instance, no instance twice for a key."""
    for id, count in Counter(message.id for message in data.messages).items():
        if count > 1:
            yield Finding("doubled", 2, f"message {id} ({_type(data, id)}) is {count} times in the log")
    for instance, reactions in data.reactions.items():
        taken = Counter(one.id for reaction in reactions for one in reaction.inputs)
        for id, count in taken.items():
            if count > 1:
                yield Finding("doubled", 2, f"{_name(data, instance)} took {_type(data, id)} {id} {count} times")
    keys = Counter((row.type, row.key) for row in data.instances.values())
    for (type, key), count in keys.items():
        if count > 1:
            yield Finding("doubled", 2, f"{count} instances of {type} for {key}")


def _outcomes(data: MemoryData) -> Iterator[Finding]:
    """A command has one outcome."""
    led: defaultdict[str, list[Envelope]] = defaultdict(list)
    for message in data.messages:
        if message.causation_id is not None:
            led[message.causation_id].append(message)
    for message in data.messages:
        if message.kind != "command":
            continue
        ids = [one.id for one in led[message.id]]
        if len(ids) != len(set(ids)):
            yield Finding("doubled", 2, f"{message.type} {message.id} has two outcomes")


def _histories(data: MemoryData) -> Iterator[Finding]:
    """State and history are one: every version has its reaction, in the order of the log."""
    positions = {message.id: message.position for message in data.messages}
    for id, row in data.instances.items():
        name = _name(data, id)
        versions = [reaction.version for reaction in data.reactions.get(id, ())]
        if versions != sorted(set(versions)) or (versions and versions[-1] > row.version):
            yield Finding("wrong", 7, f"{name} is at version {row.version}, its history says {versions}")
        for reaction in data.reactions.get(id, ()):
            for one in (*reaction.inputs, *reaction.outputs):
                if positions.get(one.id) is None:
                    yield Finding("lost", 7, f"{name}: {one.type} {one.id} of its history is not in the log")
        search = data.search.get(id)
        if search is None or search.status != row.status:
            yield Finding("wrong", 5, f"{name} is {row.status}, and is listed as {search.status if search else '-'}")


def _times(data: MemoryData) -> Iterator[Finding]:
    """Nothing is recorded before what it was caused by, whatever engines and clocks came between."""
    recorded = {message.id: message.recorded_at for message in data.messages}
    for message in data.messages:
        cause = recorded.get(message.causation_id or "", 0)
        if message.recorded_at < cause:
            early = (cause - message.recorded_at) / 1_000_000
            yield Finding("wrong", 8, f"{message.type} {message.id} is recorded {early:g} s before its cause")


def _ends(stage: Stage) -> Iterator[Finding]:
    """Every instance has ended, and says why; nothing is left to be done."""
    data = stage.data
    for id, row in data.instances.items():
        name, search = _name(data, id), data.search.get(id)
        reason = search.reason if search is not None else ""
        if row.status not in ENDED:
            yield Finding("unsettled", 5, f"{name} is {row.status}: {reason}")
        elif row.status != "completed" and not reason:
            yield Finding("wrong", 5, f"{name} is {row.status}, and does not say why")
    for delivery in data.deliveries.values():
        kind, at = delivery.envelope.type, delivery.lane
        yield Finding("unsettled", 5, f"{kind} {delivery.envelope.id} is still {delivery.state} in lane {at}")


def _type(data: MemoryData, id: str) -> str:
    return next((message.type for message in data.messages if message.id == id), "?")


def _name(data: MemoryData, instance: str) -> str:
    row = data.instances.get(instance)
    return f"{row.type} {row.key}" if row else instance


def count_findings(findings: Iterable[Finding], kind: str) -> int:
    """How many are of this kind."""
    return sum(finding.kind == kind for finding in findings)
