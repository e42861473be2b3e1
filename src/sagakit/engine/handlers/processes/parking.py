"""What is written of an instance that cannot go on: it is parked, and waits for a person."""

from __future__ import annotations

import msgspec
import structlog

from sagakit.core.commit import Envelope, Instance, InstanceWrite, Search
from sagakit.core.display import log_fields
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.notices import Notices
from sagakit.engine.handlers.processes.attributes import gathered
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.topology import ProcessConsumer
from sagakit.ports import Clock, Store

_log = structlog.get_logger("sagakit.processes")


class Parking:
    """Parks instances."""

    def __init__(self, store: Store, read: Reader, clock: Clock, notices: Notices) -> None:
        self._store = store
        self._read = read
        self._clock = clock
        self._notices = notices

    async def write(
        self, draft: Draft, process: ProcessConsumer, lane: Lane, key: str | None, cause: Envelope, bug: Exception
    ) -> None:
        """Add to a draft that the instance of this lane is parked; one that could not start is there, and parked."""
        id = lane.key.rpartition("/")[2]
        _log.error("parked", **{**log_fields(cause), "process": process.name, "instance": id}, error=str(bug))
        written = next((write.row for write in draft.commit.instances if write.row.id == id), None)
        row = written or await self._read(self._store.read_instance, id)
        if row is None and key is not None:
            row = Instance(id, process.name, key, process.current.version, 0, "parked", b"{}")
        if row is None:
            return
        if written is None:
            draft.commit.instances.append(InstanceWrite(row, row.version))
        row.version += 1
        row.status = "parked"
        await self._describe(draft, process, row, cause, str(bug))
        await self._notices.parked(draft, row, cause, str(bug))

    async def _describe(
        self, draft: Draft, process: ProcessConsumer, row: Instance, cause: Envelope, error: str
    ) -> None:
        now = self._clock.now()
        known = next((search for search in reversed(draft.commit.search) if search.instance == row.id), None)
        known = known or await self._read(self._store.read_search, row.id)
        if known is None:
            known = Search(
                row.id, row.type, row.key, "parked", cause.correlation_id, now, now, trace_id=trace_id(cause.trace)
            )
            known.attributes = gathered(process.attributes, (cause.message,))
        draft.commit.search.append(msgspec.structs.replace(known, status="parked", reason=error, updated_at=now))


def trace_id(trace: str | None) -> str | None:
    """The trace id of a W3C traceparent (version-traceid-parentid-flags)."""
    return trace.split("-")[1] if trace and trace.count("-") >= 3 else None
