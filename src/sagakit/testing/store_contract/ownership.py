"""Opening, closing, and who may write."""

from __future__ import annotations

import pytest

from sagakit.core.commit import Commit, Fence, Pause
from sagakit.errors import CommitLost, StoreFailed, StoreInUse
from sagakit.ports import Store
from sagakit.testing.faults import At, Fault, FaultyStore
from sagakit.testing.store_contract.samples import (
    MakeStore,
    event,
    instance,
    item,
    message,
    read_all,
    sent,
    started,
    timer,
    write,
)


class OwnershipContract:
    """One owner at a time; a new one finds everything, and is told how the last one ended."""

    async def test_a_new_store_is_clean_and_empty(self, make_store: MakeStore) -> None:
        store = make_store()
        assert await store.open()
        assert await store.read_messages() == []
        assert await store.read_deliveries() == []
        await store.close()

    async def test_tells_a_clean_end_from_another(self, make_store: MakeStore) -> None:
        store = make_store()
        await store.open()
        await store.close(clean=False)
        assert not await store.open()
        await store.close()
        assert await store.open()
        await store.close()

    async def test_an_end_stays_unclean_until_an_owner_ends_cleanly(self, make_store: MakeStore) -> None:
        for _ in range(2):
            store = make_store()
            await store.open()
            await store.close(clean=False)
        assert not await make_store().open(own=False)

    async def test_what_is_committed_outlives_its_owner(self, make_store: MakeStore) -> None:
        first = make_store()
        await first.open()
        commit = sent()
        await write(first, commit)
        await first.close(clean=False)
        second = make_store()
        await second.open()
        assert await read_all(second) == [commit.messages[0].id]
        assert await second.read_deliveries() == commit.deliveries
        await second.close()

    async def test_one_owner_at_a_time(self, make_store: MakeStore) -> None:
        first, second = make_store(), make_store()
        await first.open()
        await write(first, sent())

        async def take_over_and_go_on() -> None:
            await second.open()
            await first.commit([sent()])

        with pytest.raises(StoreInUse):
            await take_over_and_go_on()
        await second.close()
        await first.close()

    async def test_a_reader_reads_beside_the_owner_and_writes_nothing(
        self, make_store: MakeStore, store: Store
    ) -> None:
        commit = sent()
        await write(store, commit)
        reader = make_store()
        assert not await reader.open(own=False)
        assert await read_all(reader) == [commit.messages[0].id]
        with pytest.raises(StoreFailed):
            await reader.commit([sent()])
        later = sent()
        await write(store, later)
        assert await read_all(reader) == [commit.messages[0].id, later.messages[0].id]
        await reader.close()
        await write(store, sent())

    async def test_closed_it_does_nothing(self, make_store: MakeStore) -> None:
        store = make_store()
        await store.close()
        await store.open()
        await store.close()
        await store.close()
        with pytest.raises(StoreFailed):
            await store.commit([sent()])
        with pytest.raises(StoreFailed):
            await store.read_messages()

    async def test_the_owner_is_seen_with_its_address(self, make_store: MakeStore) -> None:
        owner, reader = make_store(), make_store()
        await owner.open()
        await reader.open(own=False)
        seen = await reader.read_owner()
        assert seen is not None
        assert seen.url is None
        await owner.announce("http://127.0.0.1:8080")
        for store in (owner, reader):
            found = await store.read_owner()
            assert found is not None
            assert (found.pid, found.url) == (seen.pid, "http://127.0.0.1:8080")
        await owner.announce(None)
        assert await reader.read_owner() == seen
        with pytest.raises(StoreFailed):
            await reader.announce("http://127.0.0.1:9090")
        await owner.announce("http://127.0.0.1:8080")
        await owner.close()
        assert await reader.read_owner() is None
        await reader.close()

    @pytest.mark.parametrize("clean", [True, False])
    async def test_an_address_ends_with_its_owner(self, make_store: MakeStore, clean: bool) -> None:
        first, reader = make_store(), make_store()
        await first.open()
        await first.announce("http://127.0.0.1:8080")
        await reader.open(own=False)
        await first.close(clean=clean)
        assert await reader.read_owner() is None
        second = make_store()
        await second.open()
        seen = await reader.read_owner()
        assert seen is not None
        assert seen.url is None
        await second.close()
        await reader.close()

    async def test_no_number_is_ever_given_twice(self, make_store: MakeStore) -> None:
        store = make_store()
        await store.open()
        commit = sent()
        commit.instances = started("one").instances
        await write(store, commit)
        await write(store, Commit(done=[Fence(commit.deliveries[0].id, 1)]))
        await store.close()
        await store.open()
        later = sent()
        later.instances = started("two").instances
        await write(store, later)
        assert later.messages[0].position > commit.messages[0].position
        assert later.deliveries[0].id > commit.deliveries[0].id
        assert later.instances[0].row.number > commit.instances[0].row.number
        await store.close()

    async def test_what_was_known_is_known_to_the_next_owner(self, make_store: MakeStore) -> None:
        first = make_store()
        await first.open()
        commit = Commit(messages=[event("order/1", 1), message()], instances=started("one").instances)
        await write(first, commit)
        await first.close()
        second = make_store()
        await second.open()
        assert (await second.commit([Commit(messages=[event("order/1", 1)])]))[0] is not None
        assert (await second.commit([started("one")]))[0] is not None
        await write(second, Commit(messages=[event("order/1", 2)]))
        assert await second.read_instance("one") == instance("one", number=commit.instances[0].row.number)
        await second.close()

    @pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.COMMIT_LOST])
    async def test_after_a_lost_answer_it_tells_what_was_written(self, make_store: MakeStore, fault: Fault) -> None:
        faulty = FaultyStore(make_store(), At(2, fault, "commit"))
        await faulty.open()
        await write(faulty, Commit(messages=[event("order/1", 1)]))
        good, late = Commit(messages=[event("order/1", 2)]), Commit(messages=[event("order/1", 2)])
        with pytest.raises(CommitLost):
            await faulty.commit([good, late])
        written = fault is Fault.ANSWER_LOST
        assert await faulty.committed([good, late]) == [written, False]
        assert len(await read_all(faulty)) == 1 + written
        assert bool(good.messages[0].position) == written
        await faulty.close()

    @pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.COMMIT_LOST])
    async def test_it_tells_so_of_commits_without_messages_too(self, make_store: MakeStore, fault: Fault) -> None:
        faulty = FaultyStore(make_store(), At(2, fault, "commit"))
        await faulty.open()
        scheduled, ended, pause = timer(), Pause("all", "", "ann", "", 1), Pause("module", "shop", "ann", "", 2)
        await write(faulty, Commit(deliveries=[scheduled], instances=started("one").instances, pauses=[ended]))
        commits = [
            Commit(forgotten=[scheduled.envelope.id]),
            Commit(items=[item("one", 0)]),
            Commit(pauses=[pause]),
            Commit(resumed=[("all", "")]),
            Commit(items=[item("nobody", 0)]),
        ]
        with pytest.raises(CommitLost):
            await faulty.commit(commits)
        written = fault is Fault.ANSWER_LOST
        assert await faulty.committed(commits) == [written, written, written, written, False]
        assert await faulty.read_scheduled() == ([] if written else [scheduled])
        assert await faulty.read_items("one", 1) == [item("one", 0)] * written
        assert await faulty.read_pauses() == [pause if written else ended]
        await faulty.close()
