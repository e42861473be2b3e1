"""The reminders of a process manager: messages that it is to be told later."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from sagakit.core.codec import Codecs
from sagakit.core.lifecycle import TimerFired
from sagakit.core.messages import derived_id, microseconds
from sagakit.core.process import Input, PendingTimer, Reacted, Timer, words_of
from sagakit.core.process_manager.answers import Remind
from sagakit.core.process_manager.record import ManagerRecord
from sagakit.errors import ProcessBug


class Reminders:
    """The reminders of one instance, one a name."""

    def __init__(self, codecs: Codecs, takes: Collection[type], instance: str, record: ManagerRecord) -> None:
        self._codecs, self._takes = codecs, takes
        self._instance, self._record = instance, record
        self._given: Input | None = None
        self._reacted = Reacted()
        self._count = 0

    def begin(self, given: Input, reacted: Reacted) -> None:
        """A reaction begins."""
        self._given, self._reacted, self._count = given, reacted, 0

    def remind(self, remind: Remind) -> None:
        """Set a reminder; an earlier one of the same name is forgotten."""
        assert self._given is not None
        codec, payload, _ = self._codecs.seal(remind.message)
        if codec.cls not in self._takes:
            raise ProcessBug(f"Remind({remind.name!r}): neither evolve nor react takes a {codec.cls.__name__}")
        try:
            after = microseconds(remind.after, "after=")
        except ValueError as error:
            raise ProcessBug(f"Remind({remind.name!r}): {error}") from error
        self.forget(remind.name)
        id = derived_id(self._given.id, f"{self._instance}/timer", self._count)
        self._count += 1
        pending = PendingTimer(id, self._given.now + after, "reminder", remind.name, after)
        told = TimerFired(words_of(pending), codec.name, codec.version, msgspec.Raw(payload))
        fired, body, sealed = self._codecs.seal(told)
        self._reacted.timers.append(Timer(id, fired.name, fired.version, body, sealed, pending.due_at))
        self._record.reminders.append(pending)

    def forget(self, name: str) -> None:
        """Set no reminder of this name any more; one that is gone is no error."""
        reminders = self._record.reminders
        pending = next((one for one in reminders if one.what == name), None)
        if pending is not None:
            reminders.remove(pending)
            self._reacted.forget(pending.id)

    def clear(self) -> None:
        """The instance has ended."""
        for pending in list(self._record.reminders):
            self.forget(pending.what)

    def told(self, id: str, fired: TimerFired) -> Sequence[Any]:
        """What a reminder that fires tells; nothing if it was forgotten or replaced before."""
        reminders = self._record.reminders
        pending = next((one for one in reminders if one.id == id), None)
        if pending is None:
            return ()
        reminders.remove(pending)
        return (self._codecs.decode(fired.type, fired.version, bytes(fired.payload)),)
