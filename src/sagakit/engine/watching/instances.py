"""Those who watch an instance: where it stands, then each of its reactions, then its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from sagakit.core.codec import Codecs
from sagakit.core.commit import ENDED, Commit, History, Instance
from sagakit.core.display import display
from sagakit.core.messages import Message
from sagakit.core.process import Input
from sagakit.core.streams import instance_id
from sagakit.engine.topology import ProcessConsumer
from sagakit.engine.watching.retelling import Retelling
from sagakit.engine.watching.updates import Update, Watcher, place
from sagakit.errors import CursorGone, NotFound, Stopping, TerminalError
from sagakit.ports import Store

HISTORY_PAGE = 1_000


class InstanceWatches:
    """Watchers by instance."""

    def __init__(self, store: Store, codecs: Codecs) -> None:
        self._store = store
        self._codecs = codecs
        self.by_id: dict[str, list[Watcher]] = {}
        self._ended: str | None = None

    @property
    def watchers(self) -> int:
        """Who watches an instance, or waits for its end."""
        return sum(map(len, self.by_id.values()))

    def committed(self, commit: Commit) -> None:
        """A Commit is durable: tell those who watch its instances."""
        for write in commit.instances:
            watchers = self.by_id.get(write.row.id)
            if watchers:
                for version, update in _updates(write.row, commit):
                    for watcher in watchers:
                        watcher.tell(version, update)

    async def look(self, id: str) -> None:
        """An instance may have moved on elsewhere: tell those who watch it where it stands."""
        row = await self._store.read_instance(id)
        if row is not None:
            for watcher in self.by_id.get(id, ()):
                watcher.tell(row.version, _current(row, row.version - 1))

    def end(self, why: str) -> None:
        """Nothing will be told any more."""
        self._ended = self._ended or why
        for watchers in self.by_id.values():
            for watcher in watchers:
                watcher.fail(Stopping(why))

    def subscribe(self, process: ProcessConsumer, key: object) -> Watcher:
        """Be told of an instance from now on, until the watcher leaves."""
        if self._ended is not None:
            raise Stopping(self._ended)
        id = instance_id(process.name, str(key))

        def leave(watcher: Watcher) -> None:
            watchers.remove(watcher)
            if not watchers:
                del self.by_id[id]

        watchers = self.by_id.setdefault(id, [])
        watcher = Watcher(leave)
        watchers.append(watcher)
        return watcher

    async def begins(self, watcher: Watcher, process: ProcessConsumer, key: object) -> None:
        """Wait until an instance is there."""
        if await self._store.read_instance(instance_id(process.name, str(key))) is None:
            await watcher.next()  # whoever follows it now reads it, with what this says of it

    async def follow(
        self, watcher: Watcher, process: ProcessConsumer, key: object, after: str | None
    ) -> AsyncGenerator[Update]:
        """Where it stands, or what came after a cursor; then every update, up to its end."""
        row = await self._read(process, key)
        seen = -1
        if after is not None:
            seen = await self._check(row, after)
            async with aclosing(self._missed(process, row, seen)) as missed:
                async for update in missed:
                    yield update
                    seen = int(update.cursor)
        if row.version > seen:
            yield _current(row, seen)
            seen = row.version
        status = row.status
        while status not in ENDED:
            version, update = await watcher.next()
            if version > seen:
                yield _behind(update, version, seen)
                seen, status = version, update.status

    async def _read(self, process: ProcessConsumer, key: object) -> Instance:
        row = await self._store.read_instance(instance_id(process.name, str(key)))
        if row is None:
            raise NotFound(f"there is no {process.name} with key {str(key)!r}")
        return row

    # ------------------------------------------------------------------ what was missed

    async def _check(self, row: Instance, after: str) -> int:
        """The version that a cursor names. CursorGone if what came after it cannot be told."""
        version = place(after)
        if version is None:
            why = "is no cursor of an instance"
        elif version > row.version:
            why = "is ahead of it"
        else:
            first = await self._store.read_history(row.id, limit=1)
            if version == row.version or not first or first[0].version <= version + 1:
                return version
            why = f"is no longer kept: its history begins at {first[0].version}"
        current = _current(row, -1)
        raise CursorGone(
            f"{row.type} {row.key!r} is at cursor {current.cursor}, and after={after[:40]!r} {why}: go on from there",
            current,
        )

    async def _missed(self, process: ProcessConsumer, row: Instance, seen: int) -> AsyncGenerator[Update]:
        """Each kept reaction after this version, up to where the row stands, as it was told at the time."""
        if seen == row.version:
            return
        retelling, version = Retelling(process.definitions.get(row.definition), row), 0
        try:
            while page := await self._store.read_history(row.id, after=version, limit=HISTORY_PAGE):
                for entry in page:
                    version = entry.version
                    if version > row.version:
                        return
                    messages = self._messages(entry)
                    stood = retelling.tell(version, Input(entry.inputs, messages))
                    stood = row if version == row.version else stood
                    if version > seen and stood is not None:
                        yield _update(stood, version, messages[0] if messages else None, seen)
                        seen = version
        finally:
            retelling.close()

    def _messages(self, entry: History) -> tuple[Message, ...]:
        try:
            return tuple(self._codecs.decode(one.type, one.version, one.payload) for one in entry.inputs)
        except TerminalError:  # its class is gone, or has changed
            return ()


def _updates(row: Instance, commit: Commit) -> list[tuple[int, Update]]:
    """What a Commit says of an instance: a reaction each, and what changed without one."""
    told: list[tuple[int, Update]] = []
    for reaction in commit.reactions:
        if reaction.instance.id == row.id:
            stood = Instance(
                row.id, row.type, row.key, row.definition, reaction.version, reaction.status, reaction.state
            )
            event = reaction.inputs[0].message
            told.append((reaction.version, _update(stood, reaction.version, event, reaction.version - 1)))
    if not told or told[-1][0] < row.version:
        told.append((row.version, _current(row, row.version - 1)))
    return told


def _current(row: Instance, seen: int) -> Update:
    return _update(row, row.version, None, seen)


def _update(row: Instance, version: int, event: Message | None, seen: int) -> Update:
    skipped = version - seen - 1 if seen >= 0 else 0
    shown = display(row)
    return Update(row.status, shown.state, event, str(version), skipped, shown.progress)


def _behind(update: Update, version: int, seen: int) -> Update:
    """An update as one sees it who has seen this version."""
    skipped = version - seen - 1
    if not skipped:
        return update
    return Update(update.status, update.state, update.event, update.cursor, skipped, update.progress)
