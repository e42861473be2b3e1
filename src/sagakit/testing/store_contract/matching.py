"""What a Commit must match, and that one that does not leaves no trace."""

from __future__ import annotations

import asyncio

from sagakit.core.commit import (
    Checkpoint,
    Commit,
    DeliveryChange,
    Fence,
    Inbox,
    InstanceWrite,
    Reaction,
    Rejected,
)
from sagakit.ports import Store
from sagakit.testing.store_contract.samples import (
    event,
    instance,
    message,
    read_all,
    rejected,
    search,
    sent,
    started,
    write,
)


class MatchingContract:
    """Versions, fences and the inbox, alone and inside one group."""

    async def test_nothing_to_write_is_fine(self, store: Store) -> None:
        assert await store.commit([]) == []
        assert await store.commit([Commit()]) == [None]

    async def test_a_stream_grows_by_one_version_at_a_time(self, store: Store) -> None:
        assert await rejected(store, Commit(messages=[event("order/1", 2)])) == "conflict"
        await write(store, Commit(messages=[event("order/1", 1), event("order/1", 2), event("order/2", 1)]))
        for version in (1, 2, 4):
            assert await rejected(store, Commit(messages=[event("order/1", version)])) == "conflict"
        await write(store, Commit(messages=[event("order/1", 3)]))
        assert [event.stream_version for event in await store.read_stream("order/1")] == [1, 2, 3]

    async def test_a_gap_inside_a_commit_drops_it(self, store: Store) -> None:
        assert await rejected(store, Commit(messages=[event("order/1", 1), event("order/1", 3)])) == "conflict"
        assert await read_all(store) == []

    async def test_a_later_commit_of_a_group_sees_the_earlier(self, store: Store) -> None:
        first, second, third = (Commit(messages=[event("order/1", version)]) for version in (1, 1, 2))
        answers = await store.commit([first, second, third])
        assert [answer and answer.why for answer in answers] == [None, "conflict", None]
        assert await read_all(store) == [first.messages[0].id, third.messages[0].id]

    async def test_a_dropped_commit_leaves_no_trace_in_its_group(self, store: Store) -> None:
        waiting = sent()
        await write(store, waiting)
        fence = Fence(waiting.deliveries[0].id, 1)
        dropped = sent()
        dropped.messages += [event("order/1", 1), event("order/2", 7)]
        dropped.done = [fence]
        dropped.instances = [InstanceWrite(instance("one"), 0)]
        dropped.search = [search("one")]
        dropped.inbox = [Inbox("http", "key", "digest", b"answer")]
        dropped.checkpoints = [Checkpoint("board", 5)]
        good = Commit(
            done=[fence],
            messages=[event("order/1", 1)],
            instances=[InstanceWrite(instance("one"), 0)],
            inbox=[Inbox("http", "key", "digest", b"answer")],
            checkpoints=[Checkpoint("board", 6)],
        )
        answers = await store.commit([dropped, good])
        assert [answer and answer.why for answer in answers] == ["conflict", None]
        assert await read_all(store) == [waiting.messages[0].id, good.messages[0].id]
        assert await store.read_deliveries() == []
        assert dropped.messages[0].position == 0
        assert dropped.deliveries[0].id == 0

    async def test_a_delivery_is_finished_once(self, store: Store) -> None:
        waiting = sent()
        await write(store, waiting)
        finish = Commit(done=[Fence(waiting.deliveries[0].id, 1)], messages=[message()])
        again = Commit(done=[Fence(waiting.deliveries[0].id, 1)], messages=[message()])
        assert [answer and answer.why for answer in await store.commit([finish, again])] == [None, "gone"]
        assert await rejected(store, again) == "gone"
        assert await read_all(store) == [waiting.messages[0].id, finish.messages[0].id]

    async def test_another_attempt_is_gone(self, store: Store) -> None:
        waiting = sent(attempt=3)
        await write(store, waiting)
        id = waiting.deliveries[0].id
        for attempt in (1, 2, 4):
            assert await rejected(store, Commit(done=[Fence(id, attempt)])) == "gone"
        assert await rejected(store, Commit(changes=[DeliveryChange(Fence(id, 2), "parked", 2)])) == "gone"
        await write(store, Commit(changes=[DeliveryChange(Fence(id, 3), "retrying", 4)]))
        assert await rejected(store, Commit(done=[Fence(id, 3)])) == "gone"
        await write(store, Commit(done=[Fence(id, 4)]))

    async def test_no_such_delivery_is_gone(self, store: Store) -> None:
        assert await rejected(store, Commit(done=[Fence(4711, 1)])) == "gone"

    async def test_one_commit_needs_all_its_deliveries(self, store: Store) -> None:
        one, two = sent(), sent()
        await write(store, one, two)
        fences = [Fence(one.deliveries[0].id, 1), Fence(two.deliveries[0].id, 2)]
        assert await rejected(store, Commit(done=fences)) == "gone"
        assert len(await store.read_deliveries()) == 2
        twice = [Fence(one.deliveries[0].id, 1)] * 2
        assert await rejected(store, Commit(done=twice)) == "gone"

    async def test_an_instance_moves_from_the_expected_version_only(self, store: Store) -> None:
        assert await rejected(store, Commit(instances=[InstanceWrite(instance("one", 2), 1)])) == "conflict"
        await write(store, started("one"))
        assert await rejected(store, started("one")) == "conflict"
        move = Commit(instances=[InstanceWrite(instance("one", 4), 1)])
        again = Commit(instances=[InstanceWrite(instance("one", 4), 1)])
        assert [answer and answer.why for answer in await store.commit([move, again])] == [None, "conflict"]
        assert await rejected(store, again) == "conflict"
        await write(store, Commit(instances=[InstanceWrite(instance("one", 5), 4)]))

    async def test_an_instance_that_is_not_there_has_no_search_and_no_reactions(self, store: Store) -> None:
        assert await rejected(store, Commit(search=[search("nobody")])) == "conflict"
        reaction = Reaction(instance("nobody"), 1, (), ())
        assert await rejected(store, Commit(reactions=[reaction])) == "conflict"

    async def test_a_checkpoint_moves_from_the_expected_position_only(self, store: Store) -> None:
        assert await rejected(store, Commit(checkpoints=[Checkpoint("board", 5, expected=1)])) == "conflict"
        move = Commit(checkpoints=[Checkpoint("board", 5)])
        again = Commit(checkpoints=[Checkpoint("board", 6)])
        assert [answer and answer.why for answer in await store.commit([move, again])] == [None, "conflict"]
        await write(store, Commit(checkpoints=[Checkpoint("board", 9, expected=5), Checkpoint("mail", 2)]))
        found = [await store.read_checkpoint(consumer) for consumer in ("board", "mail", "nobody")]
        assert [checkpoint and checkpoint.position for checkpoint in found] == [9, 2, None]

    async def test_a_key_is_taken_once(self, store: Store) -> None:
        first = Inbox("http shop", "key", "digest", b"answer", expires_at=77)
        other = Inbox("http shop", "key", "another digest", b"another answer")
        commit, again = Commit(inbox=[first], messages=[message()]), Commit(inbox=[other], messages=[message()])
        repeated = Rejected("repeated", "http shop key", first)
        assert await store.commit([commit, again]) == [None, repeated]
        assert await store.commit([again]) == [repeated]
        await write(store, Commit(inbox=[Inbox("grpc shop", "key", "digest", b"")]))
        assert await store.read_inbox("http shop", "key") == first
        assert await store.read_inbox("http shop", "another") is None
        assert await read_all(store) == [commit.messages[0].id]

    async def test_the_fence_is_told_before_other_reasons(self, store: Store) -> None:
        commit = Commit(done=[Fence(4711, 1)], messages=[event("order/1", 9)])
        assert await rejected(store, commit) == "gone"

    async def test_of_many_at_once_one_takes_a_version(self, store: Store) -> None:
        rivals = [Commit(messages=[event("order/1", 1)]) for _ in range(10)]
        answers = await asyncio.gather(*(store.commit([rival]) for rival in rivals))
        assert sorted(str(answer and answer.why) for [answer] in answers) == ["None", *["conflict"] * 9]
        assert len(await read_all(store)) == 1

    async def test_a_caller_that_gives_up_harms_nobody(self, store: Store) -> None:
        for number in range(1, 6):
            task = asyncio.create_task(store.commit([Commit(messages=[event("order/1", 1), event("order/1", 2)])]))
            for _ in range(number):
                await asyncio.sleep(0)
            task.cancel()
            others = [store.commit([Commit(messages=[event(f"order/{number}/{other}", 1)])]) for other in range(5)]
            assert await asyncio.gather(*others) == [[None]] * 5
            assert len(await store.read_stream("order/1")) in (0, 2)
            await asyncio.wait([task])
