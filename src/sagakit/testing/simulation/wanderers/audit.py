"""What must hold of everything that the drawn processes did to the world."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from sagakit.core.commit import Envelope, Instance
from sagakit.stores.memory import MemoryData
from sagakit.testing.simulation.stage import Finding, Stage
from sagakit.testing.simulation.wanderers.handlers import TIMEOUT
from sagakit.testing.simulation.wanderers.programs import is_straight
from sagakit.testing.simulation.world import Run, World

DOS = {"Book": "Booked", "Pay": "Paid", "Pack": "Packed", "Put": "Stored"}
SUCCESSES = {f"wanderers.{name}" for name in DOS.values()}
PATIENCE = int(TIMEOUT * 1_000_000)
"""Microseconds after which a run that does not let itself be cancelled is left behind: it holds its lane no more."""
LISTENERS = ("watch", "heed")
DELAYS = {"book": 0.5, "pay": 0.5, "pack": 0.5}


def audit_wanderers(stage: Stage) -> Iterator[Finding]:
    """Promises 3, 4, 6 and 8 by the ledger of the world."""
    yield from _asked(stage)
    yield from _wrongs(stage)
    yield from _heard(stage)
    yield from _keys(stage.world, stage.data)
    yield from _overlaps(stage)
    yield from _lanes(stage)
    yield from _retries(stage)
    yield from _timeouts(stage)
    held = {*stage.world.effects, *_stored(stage.data)} - {*stage.world.undone, *_taken(stage.data)}
    yield from _batches(stage, held)
    for row in stage.data.instances.values():
        yield from _compensation(stage, row, held)
        yield from _late(stage, row)
        yield from _backwards(stage, row)


# ---------------------------------------------------------------------- 1: nothing acknowledged is lost


def _asked(stage: Stage) -> Iterator[Finding]:
    """What was asked for from outside was done or refused, or waits for a person; what was to begin has begun."""
    data = stage.data
    waiting = {delivery.envelope.id for delivery in data.deliveries.values()}
    led = {message.causation_id for message in data.messages}
    answered = {run.id for run in stage.world.runs if run.end in ("done", "refused", "nothing")}
    begun = {row.key for row in data.instances.values()}
    for key, receipt in stage.ledger.receipts.items():
        what, _, name = key.partition("-")
        if what == "start" and name not in begun:
            yield Finding("lost", 1, f"{name} was acknowledged, and never began")
        if what == "direct" and receipt.message_id not in led | waiting | answered:
            yield Finding("lost", 1, f"{key} was acknowledged, and led to nothing")
        if what == "signal" and receipt.message_id not in answered | waiting:
            yield Finding("lost", 1, f"{key} was acknowledged, and nobody heard of it")


def _wrongs(stage: Stage) -> Iterator[Finding]:
    """What the processes themselves have seen."""
    for message in stage.data.messages:
        if message.type == "wanderers.Wrong":
            yield Finding("wrong", 8, message.payload.decode())


def _heard(stage: Stage) -> Iterator[Finding]:
    """A new subscriber misses nothing that is written after it has come, whoever writes it."""
    heard = {run.id for run in stage.world.runs if run.action == "heed"}
    for type in ("wanderers.Booked", "wanderers.Paid"):
        subscription = stage.data.subscriptions.get(("wanderers.heed", type))
        since = len(stage.data.messages) if subscription is None else subscription.since
        for message in stage.data.messages[since:]:
            if message.type == type and message.id not in heard:
                yield Finding("lost", 1, f"{type} {message.id} came after its listener, which has not heard of it")


# ---------------------------------------------------------------------- 3: at least once, with a stable key


def _keys(world: World, data: MemoryData) -> Iterator[Finding]:
    """Every call bears the id of a message in the log, and one piece of business one id alone."""
    known = {message.id for message in data.messages}
    by_business: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for run in world.runs:
        if run.id not in known:
            yield Finding("doubled", 3, f"{run.action} {run.business} was called with {run.id}, which is no message")
        if run.action in ("book", "pay", "pack"):
            by_business[run.action, run.business].add(run.id)
    for (action, business), ids in by_business.items():
        if len(ids) > 1:
            yield Finding("doubled", 3, f"{action} {business} was called with {len(ids)} keys")


# ---------------------------------------------------------------------- 4: in order per key


def _overlaps(stage: Stage) -> Iterator[Finding]:
    """Nothing of one message or lane runs twice at a time, and no undo before its do has ended."""
    runs = stage.world.runs
    for index, run in enumerate(runs):
        end = run.over if run.end != "runs" else len(runs)
        for other in runs[index + 1 : end]:
            if other.life != run.life and stage.profile.crew == 1:
                continue
            # what listens and was told to end is waited for by nobody
            apart = other.life != run.life or run.action in LISTENERS
            if apart and stage.profile.crew > 1 and _need_not_wait(stage, run, other):
                continue
            where = "" if other.life == run.life else f", at engine {other.life} and at engine {run.life}"
            if other.id == run.id:
                yield Finding("doubled", 4, f"{run.action} {run.business} {run.id} ran twice at the same time{where}")
            elif run.lane is not None and other.lane == run.lane and other.began - run.began < PATIENCE:
                yield Finding("wrong", 4, f"{run.action} {other.business} ran while {run.business} did{where}")
            elif other.undoes == run.id:
                yield Finding("wrong", 6, f"{other.action} {other.business} ran while {run.action} still did{where}")
    begun: dict[str, Run] = {}
    for run in runs:
        if run.undoes:
            begun.setdefault(run.undoes, run)
        elif run.id in begun and begun[run.id].life == run.life and begun[run.id].effect:
            yield Finding("wrong", 6, f"{run.action} {run.business} ran after its undo")


def _need_not_wait(stage: Stage, run: Run, other: Run) -> bool:
    """Whether one engine may begin something although another one has not ended what has to come before."""
    ends = [at for life in (run.life, other.life) if (at := stage.ends.get(life)) is not None]
    ends += [run.told] if run.told is not None else []
    return any(at <= other.at for at in ends)


def _lanes(stage: Stage) -> Iterator[Finding]:
    """The outcomes of one till, or of one shelf, come in the order of the commands.

    What one story asks for side by side may be of one Commit: that has no order, nor has what several engines write.
    """
    data, writers = stage.data, stage.writers
    outcome: dict[str, int] = {}
    for message in data.messages:
        if message.causation_id is not None:
            outcome.setdefault(message.causation_id, message.position)
    last: dict[tuple[str, int], tuple[int, str, str]] = {}
    for message in data.messages:
        name = message.type.rpartition(".")[2]
        if name not in ("Pay", "Put", "Take") or message.id not in outcome:
            continue
        payload: Mapping[str, Any] = msgspec.json.decode(message.payload)
        lane = payload.get("till") or payload["shelf"]
        at = lane, writers.get(message.id, 0)
        before = last.get(at)
        if before is not None and before[0] > outcome[message.id] and before[2] != message.correlation_id:
            yield Finding("wrong", 4, f"{name} {message.id} overtook {before[1]} at {lane}")
        if before is None or before[0] < outcome[message.id]:
            last[at] = (outcome[message.id], message.id, message.correlation_id)


def shared_lanes(data: MemoryData) -> Iterator[Finding]:
    """What waits in one lane is of one key: a poisoned one holds no other."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for delivery in data.deliveries.values():
        payload: Mapping[str, Any] = msgspec.json.decode(delivery.envelope.payload)
        if delivery.consumer in ("wanderers.pay", "wanderers.Shelf"):
            keys[delivery.lane].add(payload.get("till") or payload["shelf"])
    for lane, of in keys.items():
        if len(of) > 1:
            yield Finding("wrong", 4, f"{', '.join(sorted(of))} share the lane {lane}")


# ---------------------------------------------------------------------- 6: compensation is never forgotten


def _stored(data: MemoryData) -> set[str]:
    return {m.causation_id for m in data.messages if m.type == "wanderers.Stored" and m.causation_id}


def _taken(data: MemoryData) -> set[str]:
    undoes = {message.id: message.undoes for message in data.messages if message.undoes}
    taken = [m.causation_id for m in data.messages if m.type == "wanderers.Taken"]
    return {undoes[id] or "" for id in taken if id in undoes}


def _compensation(stage: Stage, row: Instance, held: set[str]) -> Iterator[Finding]:
    """What is compensated holds nothing; what is completed holds only what it knows to be done."""
    if row.status not in ("compensated", "completed"):
        return
    reactions = stage.data.reactions.get(row.id, ())
    items = {item.command_id for batch in stage.data.items.values() for item in batch.values()}
    outputs = [output for reaction in reactions for output in reaction.outputs]
    undone = {output.undoes for output in outputs if output.undoes}
    succeeded = {one.causation_id for reaction in reactions for one in reaction.inputs if one.type in SUCCESSES}
    for output in outputs:
        if output.type.rpartition(".")[2] not in DOS or output.id not in held - items or not _undoable(output):
            continue
        name = f"{row.type} {row.key} is {row.status}, and its {output.type} {output.id}"
        if row.status == "compensated":
            yield Finding("lost", 6, f"{name} is not undone")
        elif output.id in undone:
            yield Finding("lost", 6, f"{name}, which it gave up, is not undone")
        elif output.id not in succeeded:
            yield Finding("lost", 6, f"{name} may have been done, and is not undone")


def _batches(stage: Stage, held: set[str]) -> Iterator[Finding]:
    """Each item has one row that says what became of it; what holds is known to be done, and nobody has undone it."""
    for (instance, _), items in stage.data.items.items():
        row = stage.data.instances[instance]
        for item in items.values():
            name = f"item {item.index} of {row.type} {row.key}, which is {row.status},"
            if row.status not in ("completed", "compensated"):
                continue
            if item.state in ("sent", "undoing"):
                yield Finding("unsettled", 5, f"{name} is {item.state}")
            elif item.command_id in held and item.undo and (item.state != "done" or row.status == "compensated"):
                yield Finding("lost", 6, f"{name} is {item.state}, and is not undone")
            elif item.state == "done" and item.command_id not in stage.world.effects:
                yield Finding("wrong", 7, f"{name} is done, and nothing was done")


def _late(stage: Stage, row: Instance) -> Iterator[Finding]:
    """A success that comes after its undo was sent is undone once more."""
    sent: set[str] = set()
    known: set[str] = set()
    for reaction in stage.data.reactions.get(row.id, ()):
        again = {output.undoes for output in reaction.outputs}
        for one in reaction.inputs:
            do = one.causation_id or ""
            if one.type in SUCCESSES and do in sent - known and do not in again and row.status != "compensation_failed":
                yield Finding("lost", 6, f"{row.type} {row.key}: {one.type} came late, and was not undone once more")
            known.add(do)
        sent |= {output.undoes for output in reaction.outputs if output.undoes}


def _undoable(command: Envelope) -> bool:
    payload: Mapping[str, Any] = msgspec.json.decode(command.payload)
    return bool(payload["undoable"])


def _backwards(stage: Stage, row: Instance) -> Iterator[Finding]:
    """Where one thing follows the other, the undos go backwards, each after the answer to the one before."""
    if row.status != "compensated" or not _is_straight(stage, row):
        return
    answered: dict[str, int] = {}
    dos: dict[str, int] = {}
    undos: list[Envelope] = []
    for reaction in stage.data.reactions.get(row.id, ()):
        for one in reaction.inputs:
            answered.setdefault(one.causation_id or "", one.position)
        for output in reaction.outputs:
            if output.undoes:
                undos.append(output)
            elif output.type.rpartition(".")[2] in DOS:
                dos[output.id] = len(dos)
    once = [undo for index, undo in enumerate(undos) if undo.undoes not in {one.undoes for one in undos[:index]}]
    order = [dos[undo.undoes] for undo in once if undo.undoes in dos]
    if order != sorted(order, reverse=True):
        yield Finding("wrong", 6, f"{row.type} {row.key} was undone in the order {order}")
    if len(once) == len(undos):
        for before, after in pairwise(undos):
            if answered.get(before.id, 0) > after.position or before.id not in answered:
                yield Finding("wrong", 6, f"{row.type} {row.key}: {after.type} did not wait for {before.type}")


def _is_straight(stage: Stage, row: Instance) -> bool:
    if row.type not in ("wanderers.walking", "wanderers.hurrying", "wanderers.errand"):
        return True
    for reaction in stage.data.reactions.get(
        row.id, ()
    ):  # what an operator did to one that could not start may come first
        started: Mapping[str, Any] = msgspec.json.decode(reaction.inputs[0].payload)
        if "program" in started:
            return is_straight(started["program"])
    return False


# ---------------------------------------------------------------------- 8: never early


def _timeouts(stage: Stage) -> Iterator[Finding]:
    """What takes too long is given up: its answer counts no more."""
    if stage.profile.skews:
        return
    outcomes = {message.causation_id: message.recorded_at for message in stage.data.messages}
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    for run in stage.world.runs:
        runs[run.id].append(run)
    for id, (run, *more) in runs.items():
        late = run.ended - run.began > (TIMEOUT + 1) * 1_000_000 and run.life not in stage.frozen
        if run.lane is not None and not more and run.end == "done" and late and outcomes.get(id, 0) >= run.ended:
            yield Finding("wrong", 8, f"{run.action} {run.business} took its time, and was not given up")


def _retries(stage: Stage) -> Iterator[Finding]:
    """At one engine, a further attempt comes no sooner than its policy says, unless an operator wants it."""
    wanted = [message.recorded_at for message in stage.data.messages if message.type == "sagakit.OperatorActed"]
    last: dict[tuple[int, str], Run] = {}
    for run in stage.world.runs:
        before = last.get((run.life, run.id))
        if before is not None and before.end == "fails" and run.action in DELAYS:
            shortest = int(DELAYS[run.action] * 0.8 * 1_000_000)
            in_time = before.ended - before.began < TIMEOUT * 1_000_000  # else its wait was counted from then
            asked = any(before.began <= at <= run.began for at in wanted)
            if in_time and not asked and run.began - before.ended < shortest:
                yield Finding("wrong", 8, f"{run.action} {run.business} was tried again too early")
        last[run.life, run.id] = run
