"""Instances that a command has started: whoever sent it is told how they end, and may have them cancelled."""

from __future__ import annotations

from collections.abc import Sequence

from sagakit.core.commit import ENDED, Envelope
from sagakit.core.lifecycle import CancelChild
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.processes.instances import Slot
from sagakit.engine.handlers.processes.parentage import FIRST_FEW, first_input
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.routing import Router
from sagakit.ports import Store


class Children:
    """What is between a process and whoever has started it with a command."""

    def __init__(self, router: Router, store: Store, read: Reader) -> None:
        self._router = router
        self._store = store
        self._read = read

    async def asked(self, slot: Slot) -> Envelope | None:
        """The command that started an instance; None if an event did."""
        began = await self._began(slot)
        return began if began is not None and began.kind == "command" and not _cancels(began) else None

    async def _began(self, slot: Slot) -> Envelope | None:
        """The message of its first reaction; None if it had none: its start has failed."""
        if slot.began is None and slot.row.version and not slot.looked:
            page = await self._read(self._store.read_history, slot.row.id, after=0, limit=FIRST_FEW)
            slot.began, slot.looked = first_input(page), True
        return slot.began

    async def turned_away(self, draft: Draft, slot: Slot | None, command: Envelope) -> bool:
        """Answer a command that changes nothing: a start for a used key, a cancel of what is not there or has ended."""
        cancels = _cancels(command)
        began = None if slot is None else await self._began(slot)
        if cancels:
            runs = slot is not None and slot.row.status not in ENDED and (began is None or began.id == command.undoes)
            if not runs:
                await self._router.outcome(draft, command, ())
            return not runs
        if slot is None or (began is None and slot.row.status not in ENDED):
            return False
        why = f"the key {slot.row.key!r} is used"
        if began is None:  # this start had failed, and then the instance was ended by hand
            why = f"it was ended before it had begun: {slot.live.reason}"
        await self._router.refused(draft, command, f"{slot.row.type}: {why}")
        return True

    async def tell_end(self, draft: Draft, slot: Slot, asked: Envelope, answers: Sequence[Envelope]) -> None:
        """An instance has ended: tell whoever sent the command that started it."""
        live = slot.live
        if live.status == "completed":
            await self._router.answered(draft, asked, answers)
        elif asked.sender is not None:
            reason = live.reason or f"{slot.row.type} is {live.status}"
            await self._router.failure(draft, asked, reason, known_not_done=live.status == "compensated")


def _cancels(command: Envelope) -> bool:
    return command.message.__class__ is CancelChild


def as_outcome(answers: Sequence[Envelope], asked: Envelope) -> None:
    """What a process ends with belongs to the command that started it, and to that command's story."""
    for answer in answers:
        answer.causation_id, answer.sender = asked.id, None
        answer.correlation_id, answer.trace = asked.correlation_id, asked.trace
