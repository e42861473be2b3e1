"""What an instance was like after each of its reactions: its history, told again from the beginning."""

from __future__ import annotations

import structlog

from sagakit.core.commit import Instance
from sagakit.core.process import Definition, Input, Live

_log = structlog.get_logger("sagakit.watching")


class Retelling:
    """Runs an instance through its history once more; reactions are pure, so nothing comes of it."""

    def __init__(self, definition: Definition | None, row: Instance) -> None:
        self._row = row
        self._definition = definition
        self._live: Live | None = None
        self._first = True

    def tell(self, version: int, given: Input) -> Instance | None:
        """The instance after its next reaction. None if its code does not go the way it went any more."""
        row = self._row
        try:
            live = self._begin(version)
            if live is None:
                return None
            live.react(given)
            state = live.snapshot()
        except Exception as error:  # the user's code, which may have changed
            self._live = None
            _log.info("not retold", process=row.type, key=row.key, version=version, error=str(error))
            return None
        return Instance(row.id, row.type, row.key, row.definition, version, live.status, state, row.number)

    def _begin(self, version: int) -> Live | None:
        first, self._first = self._first, False
        if first and version == 1 and self._definition is not None:  # else its beginning is no longer kept
            self._live = self._definition.retell(self._row.id, self._row.key)
        return self._live

    def close(self) -> None:
        """Let go of the code."""
        if self._live is not None:
            self._live.evict()
