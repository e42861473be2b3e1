"""All stores give the same answers to the same Commits, whatever they are."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Generator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from msgspec import Struct, structs
from tests.each_store import Schemas
from tests.stores.wishes import GROUPS, INSTANCES, Maker, Wish, everything

from sagakit.core.commit import Commit, Delivery, Envelope, Fence, Instance, Rejected
from sagakit.ports import Store
from sagakit.stores.memory import MemoryStore
from sagakit.stores.postgres.store import PostgresStore
from sagakit.stores.sqlite import SqliteStore, known


def numbers(commits: list[Commit]) -> list[Any]:
    """The numbers that the store has set in place."""
    return [
        (
            [envelope.position for envelope in commit.messages],
            [delivery.id for delivery in commit.deliveries],
            [write.row.number for write in commit.instances],
        )
        for commit in commits
    ]


async def compare(path: Path, groups: list[list[Wish] | None]) -> None:
    memory, sqlite = MemoryStore(), SqliteStore(path)
    makers = Maker(), Maker()
    await memory.open()
    await sqlite.open()
    for group in groups:
        if group is None:
            await sqlite.close(clean=False)
            await sqlite.open()
            continue
        expected, found = ([maker.commit(memory.data, wish) for wish in group] for maker in makers)
        assert await sqlite.commit(found) == await memory.commit(expected)
        assert numbers(found) == numbers(expected)
    assert await everything(sqlite) == await everything(memory)
    await sqlite.close()
    await memory.close()


@settings(max_examples=100, deadline=None)
@given(groups=GROUPS)
def test_both_stores_agree(groups: list[list[Wish] | None]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "LIMIT", 4)
        asyncio.run(compare(Path(folder) / "shop.db", groups))


class Translated:
    """Commits for PostgreSQL, which gives other numbers; and what it says, in the numbers of the store in memory."""

    def __init__(self) -> None:
        self.deliveries: dict[int, int] = {}
        self.back: dict[str, dict[int, int]] = {"position": {0: 0}, "id": {}, "number": {0: 0}}

    def commit(self, commit: Commit) -> Commit:
        """Made before the store in memory has taken it."""
        commit = deepcopy(commit)
        commit.done = [self._fence(fence) for fence in commit.done]
        commit.changes = [structs.replace(change, fence=self._fence(change.fence)) for change in commit.changes]
        commit.withdrawn = [self.deliveries.get(id, 10**9 + id) for id in commit.withdrawn]
        return commit

    def _fence(self, fence: Fence) -> Fence:
        return Fence(self.deliveries.get(fence.delivery, 10**9 + fence.delivery), fence.attempt)

    def learn(self, ours: Commit, theirs: Commit) -> None:
        """Both were written."""
        for one, other in zip(ours.messages, theirs.messages, strict=True):
            self.back["position"][other.position] = one.position
        for one, other in zip(ours.deliveries, theirs.deliveries, strict=True):
            self.deliveries[one.id] = other.id
            self.back["id"][other.id] = one.id
        for one, other in zip(ours.instances, theirs.instances, strict=True):
            self.back["number"][other.row.number] = one.row.number

    def said(self, value: Any) -> Any:
        """What the store says, in the other's numbers."""
        if isinstance(value, list | tuple):
            return type(value)(map(self.said, value))
        if isinstance(value, Rejected):
            return value.why, value.inbox
        if isinstance(value, Struct):
            given = {name: self.said(getattr(value, name)) for name in value.__struct_fields__}
            named = {Envelope: "position", Delivery: "id", Instance: "number"}.get(type(value))
            if named is not None:
                given[named] = self.back[named][given[named]]
            return type(value)(**given)
        return value


async def read_alike(store: Store, translated: Translated | None) -> list[Any]:
    """All that a store holds and that does not ask for numbers."""
    found = await everything(store)
    single = [await store.read_delivery(translated.deliveries.get(id, -1) if translated else id) for id in range(1, 9)]
    at = next(place for place, one in enumerate(found) if place > 4 and not isinstance(one, list))
    stories = [await store.read_story(f"story {number}") for number in range(2)]
    rest = [await store.read_story(one[0].correlation_id, after=one[0].position) for one in stories if one]
    end = len(found) - 5 - 3 * len(INSTANCES)  # the two stories before it begin at a position that is written out
    whole = [*found[:4], *found[5:at], *found[at + 8 : end - 2], *found[end:], *stories, *rest, *single]
    return translated.said(whole) if translated else whole


async def compare_with_postgres(url: str, groups: list[list[Wish] | None]) -> None:
    memory, postgres = MemoryStore(), PostgresStore(url)
    maker, translated = Maker(), Translated()
    await memory.open()
    await postgres.open()
    try:
        for group in groups:
            if group is None:
                await postgres.close(clean=False)
                await postgres.open()
                continue
            ours = [maker.commit(memory.data, wish) for wish in group]
            theirs = [translated.commit(commit) for commit in ours]
            expected, found = await memory.commit(ours), await postgres.commit(theirs)
            assert [answer and (answer.why, answer.inbox) for answer in expected] == translated.said(found)
            for one, other, answer in zip(ours, theirs, found, strict=True):
                if answer is None:
                    translated.learn(one, other)
        assert await read_alike(postgres, translated) == await read_alike(memory, None)
    finally:  # else the next example meets a store that is in use
        await postgres.close()
        await memory.close()


@pytest.fixture
def runner() -> Generator[asyncio.Runner]:
    """One event loop for all examples."""
    with asyncio.Runner() as one:
        yield one


@settings(
    max_examples=25,
    phases=(Phase.explicit, Phase.generate),  # to shrink takes minutes on a server
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(groups=GROUPS)
def test_postgres_agrees(postgres_schemas: Schemas, runner: asyncio.Runner, groups: list[list[Wish] | None]) -> None:
    url = postgres_schemas.take()
    try:
        runner.run(compare_with_postgres(url, groups))
    finally:
        postgres_schemas.give(url)
