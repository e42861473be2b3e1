"""What an instance was like after each of its reactions: its history, told again from the beginning."""

from __future__ import annotations

import structlog

from sagakit.core.commit import Instance
from sagakit.core.process import Definition, Input

_log = structlog.get_logger("sagakit.watching")


class Retelling:
    """Runs an instance through its history once more; reactions are pure, so nothing comes of it."""

    def __init__(self, definition: Definition | None, row: Instance) -> None:
        self._row = row
        self._live = None if definition is None else definition.retell(row.id, row.key)

    def tell(self, version: int, given: Input) -> Instance | None:
        """The instance after its next reaction. None if its code does not go the way it went any more."""
        row, live = self._row, self._live
        if live is None:
            return None
        try:
            live.react(given)
            state = live.snapshot()
        except Exception as error:  # the user's code, which may have changed
            self._live = None
            _log.info("not retold", process=row.type, key=row.key, version=version, error=str(error))
            return None
        return Instance(row.id, row.type, row.key, row.definition, version, live.status, state, row.number)

    def close(self) -> None:
        """Let go of the code."""
        if self._live is not None:
            self._live.evict()
