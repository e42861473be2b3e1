"""That everything comes back as it was written, whole and in pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from sagakit.core.commit import (
    Commit,
    DeliveryChange,
    DeliveryState,
    Fence,
    InstanceWrite,
    Reaction,
    Snapshot,
    Subscription,
)
from sagakit.core.streams import partition_of
from sagakit.ports import Store
from sagakit.testing.store_contract.samples import (
    delivery,
    event,
    full_message,
    instance,
    message,
    search,
    sent,
    started,
    timer,
    write,
)


async def in_pages(read: Callable[[int], Awaitable[Sequence[Any]]], cursor: Callable[[Any], int]) -> list[Any]:
    """Everything that a paged read gives, by its cursor."""
    found: list[Any] = []
    while page := await read(cursor(found[-1]) if found else 0):
        found += page
    return found


class KeepingContract:
    """Messages, deliveries, instances and the rest."""

    async def test_a_message_comes_back_whole(self, store: Store) -> None:
        envelopes = [full_message(), message()]
        envelopes[0].message = object()
        await write(store, Commit(messages=envelopes))
        envelopes[0].message = None
        assert await store.read_messages() == envelopes
        assert 0 < envelopes[0].position < envelopes[1].position

    @pytest.mark.parametrize(
        "texts",
        [("",), (None,), ("", ""), ("", None), ("a", ""), ("\x1e",), ("\x1e\x1e",), ("\x1e\x1e", None), ("\x1f", "")],
        ids=ascii,
    )
    async def test_whatever_text_a_message_holds(self, store: Store, texts: tuple[str | None, ...]) -> None:
        envelopes = [message(sender=text, undoes=text, trace=text, causation_id=text) for text in texts]
        await write(store, Commit(messages=envelopes))
        assert await store.read_messages() == envelopes

    async def test_the_log_in_pages(self, store: Store) -> None:
        envelopes = [message(f"story {number % 2}") for number in range(7)]
        await write(store, *(Commit(messages=[envelope]) for envelope in envelopes))
        log = await in_pages(lambda after: store.read_messages(after=after, limit=3), lambda found: found.position)
        assert log == envelopes
        story = await in_pages(
            lambda after: store.read_story("story 0", after=after, limit=3), lambda found: found.position
        )
        assert story == envelopes[::2]
        assert await store.read_message("story 1", envelopes[3].id) == envelopes[3]
        assert await store.read_message("story 0", envelopes[3].id) is None

    async def test_one_message_of_a_story(self, store: Store) -> None:
        envelopes = [message(f"story {number % 2}") for number in range(4)]
        await write(store, Commit(messages=envelopes))
        assert await store.read_message("story 1", envelopes[3].id) == envelopes[3]
        assert await store.read_message("story 0", envelopes[3].id) is None
        assert await store.read_message("nobody", "nothing") is None

    async def test_a_stream_in_pages(self, store: Store) -> None:
        events = [event("order/1", version) for version in range(1, 8)]
        for found in events:
            await write(store, Commit(messages=[found, event(f"other/{found.stream_version}", 1)]))
        read = await in_pages(
            lambda after: store.read_stream("order/1", after=after, limit=3), lambda found: found.stream_version
        )
        assert read == events

    async def test_deliveries_in_pages(self, store: Store) -> None:
        commits = [sent() for _ in range(7)]
        await write(store, *commits)
        await write(store, Commit(done=[Fence(commits[3].deliveries[0].id, 1)]))
        read = await in_pages(lambda after: store.read_deliveries(after=after, limit=2), lambda found: found.id)
        assert read == [commit.deliveries[0] for commit in (*commits[:3], *commits[4:])]

    async def test_deliveries_of_some_partitions(self, store: Store) -> None:
        places = [("one", -1), ("one", 7), ("two", 7), ("one", 8), ("two", 9), ("one", 7)]
        commits = [sent(consumer=consumer, partition=partition) for consumer, partition in places]
        later = [timer(consumer=consumer, partition=partition) for consumer, partition in places]
        await write(store, *commits, Commit(deliveries=later))
        lane = partition_of(later[0])
        for of, expected in (
            ({"one": [7]}, [1, 5]),
            ({"one": {7, 8}, "two": {9}}, [1, 3, 4, 5]),
            ({"one": {lane}}, [0]),
            ({"three": {7}, "two": ()}, []),
            ({}, []),
        ):
            wanted = [commits[place].deliveries[0] for place in expected]
            read = await in_pages(lambda after: store.read_deliveries(after=after, limit=2, of=of), lambda one: one.id)  # noqa: B023
            assert read == wanted
            assert await store.read_scheduled(of=of) == [later[place] for place in expected]
            if wanted:
                after = (later[expected[0]].due_at, later[expected[0]].id)
                assert await store.read_scheduled(after=after, of=of, limit=1) == [later[i] for i in expected[1:2]]

    @pytest.mark.parametrize("state", ["ready", "retrying", "parked"])
    async def test_a_delivery_in_every_state(self, store: Store, state: DeliveryState) -> None:
        commit = sent(state=state, due_at=12, attempt=3, crashes=2, error="card reader: no paper")
        await write(store, commit)
        assert await store.read_deliveries() == commit.deliveries

    async def test_a_delivery_of_a_message_that_is_in_the_log(self, store: Store) -> None:
        commit = Commit(messages=[message(), message()])
        await write(store, commit)
        later = Commit(deliveries=[delivery(commit.messages[1])])
        await write(store, later)
        assert await store.read_deliveries() == later.deliveries

    async def test_a_delivery_of_several_messages(self, store: Store) -> None:
        envelopes = [message() for _ in range(4)]
        outcome = delivery(envelopes[1], more=(envelopes[2], envelopes[3]))
        single = delivery(envelopes[0])
        await write(store, Commit(messages=envelopes, deliveries=[outcome, single]))
        assert await store.read_deliveries() == [outcome, single]

    async def test_a_delivery_changes_and_stays(self, store: Store) -> None:
        commit = sent()
        await write(store, commit)
        id = commit.deliveries[0].id
        states: list[DeliveryState] = ["retrying", "ready", "parked", "ready"]
        for attempt, state in enumerate(states, 1):
            change = DeliveryChange(Fence(id, attempt), state, attempt + 1, attempt * 10, attempt, f"error {attempt}")
            await write(store, Commit(changes=[change]))
            [found] = await store.read_deliveries()
            assert (found.id, found.state, found.attempt) == (id, state, attempt + 1)
            assert (found.due_at, found.crashes, found.error) == (attempt * 10, attempt, f"error {attempt}")
            assert found.envelope == commit.messages[0]

    async def test_attempts_that_do_not_count_any_more(self, store: Store) -> None:
        commit = sent(attempt=5, spent=3)
        await write(store, commit)
        assert await store.read_deliveries() == commit.deliveries
        id = commit.deliveries[0].id
        for attempt, (spent, expected) in enumerate([(None, 3), (5, 5), (None, 5), (0, 0)], 5):
            await write(store, Commit(changes=[DeliveryChange(Fence(id, attempt), "ready", attempt + 1, spent=spent)]))
            assert [found.spent for found in await store.read_deliveries()] == [expected]

    async def test_a_delivery_gets_another_message(self, store: Store) -> None:
        commit = sent(state="parked")
        await write(store, commit)
        id, new, rest = commit.deliveries[0].id, message(), message()
        change = DeliveryChange(Fence(id, 1), "ready", 2, envelope=new, more=(rest,))
        again = DeliveryChange(Fence(id, 2), "ready", 3, envelope=commit.messages[0])
        await write(store, Commit(messages=[new, rest], changes=[change]))
        [found] = await store.read_deliveries()
        assert (found.id, found.envelope, found.more) == (id, new, (rest,))
        await write(store, Commit(changes=[again]))
        [found] = await store.read_deliveries()
        assert (found.envelope, found.more) == (commit.messages[0], ())

    async def test_a_withdrawn_delivery_goes_and_is_no_fence(self, store: Store) -> None:
        commit = sent()
        await write(store, commit)
        id = commit.deliveries[0].id
        withdraw, finish = Commit(withdrawn=[id], messages=[message()]), Commit(done=[Fence(id, 1)])
        assert [answer and answer.why for answer in await store.commit([withdraw, finish])] == [None, "gone"]
        await write(store, Commit(withdrawn=[id, 4711], messages=[message()]))
        assert await store.read_deliveries() == []
        assert len(await store.read_messages()) == 3

    async def test_an_instance_and_its_search_row(self, store: Store) -> None:
        commit = started("one")
        await write(store, commit)
        row, found = commit.instances[0].row, commit.search[0]
        assert row.number > 0
        assert await store.read_instance("one") == row
        assert await store.read_search("one") == found
        ended = search(
            "one", status="compensated", updated_at=8, ended_at=9, cause="refused", reason="no stock",
            trace_id="4bf92f3577b34da6a3ce929d0e0e4736", attributes=b'{"city":"Kyoto"}',
        )  # fmt: skip
        moved = instance("one", 2, "compensated", row.number)
        await write(store, Commit(instances=[InstanceWrite(moved, 1)], search=[ended]))
        assert await store.read_instance("one") == moved
        assert await store.read_search("one") == ended
        assert await store.read_instance("two") is None
        assert await store.read_search("two") is None

    async def test_a_search_row_changes_without_its_instance(self, store: Store) -> None:
        await write(store, started("one"))
        changed = search("one", reason="waits for the warehouse")
        await write(store, Commit(search=[changed]))
        assert await store.read_search("one") == changed

    async def test_what_an_instance_is_does_not_change(self, store: Store) -> None:
        begin = started("one")
        await write(store, begin)
        await write(
            store, Commit(search=[search("one", type="other", key="other", correlation_id="other", reason="so")])
        )
        assert await store.read_search("one") == search("one", reason="so")

    async def test_the_history_of_an_instance_in_pages(self, store: Store) -> None:
        row = instance("one", 0)
        expected: list[tuple[int, list[str], list[str]]] = []
        for version in range(1, 6):
            inputs, outputs = (message(), message()), tuple(message() for _ in range(version % 3))
            row = instance("one", version, number=row.number)
            write_row = InstanceWrite(row, version - 1)
            reactions = [Reaction(row, version, inputs, outputs)]
            other = message()
            await write(store, Commit(messages=[*inputs, *outputs, other], instances=[write_row], reactions=reactions))
            expected.append((version, [found.id for found in inputs], [found.id for found in outputs]))
        read = await in_pages(
            lambda after: store.read_history("one", after=after, limit=2), lambda found: found.version
        )
        ids = [
            (found.version, [each.id for each in found.inputs], [each.id for each in found.outputs]) for found in read
        ]
        assert ids == expected
        assert await store.read_history("two") == []

    async def test_reactions_to_messages_of_an_earlier_commit(self, store: Store) -> None:
        cause, answer, other = message(), message(), message()
        await write(store, Commit(messages=[other, cause]))
        row = instance("one")
        reaction = Reaction(row, 1, (cause,), (answer,))
        silent = Reaction(row, 2, (answer,), ())
        await write(store, Commit(messages=[answer], instances=[InstanceWrite(row, 0)], reactions=[reaction, silent]))
        first, second = await store.read_history("one")
        assert (first.inputs, first.outputs) == ((cause,), (answer,))
        assert (second.inputs, second.outputs) == ((answer,), ())

    async def test_the_newest_snapshot_of_a_stream(self, store: Store) -> None:
        assert await store.read_snapshot("order/1") is None
        for snapshot in (
            Snapshot("order/1", 10, "code 1", b"ten"),
            Snapshot("order/1", 20, "code 1", b"twenty"),
            Snapshot("order/1", 10, "code 1", b"late"),
            Snapshot("order/1", 20, "code 2", b"twenty anew"),
        ):
            await write(store, Commit(snapshots=[snapshot]))
        assert await store.read_snapshot("order/1") == Snapshot("order/1", 20, "code 2", b"twenty anew")

    async def test_subscriptions_keep_since_when_they_stand(self, store: Store) -> None:
        await store.subscribe([Subscription("board", "shop.OrderPlaced", 1), Subscription("mail", "shop.OrderPlaced")])
        commit = sent()
        await write(store, commit)
        position = commit.messages[0].position
        await store.subscribe([Subscription("board", "shop.OrderPlaced"), Subscription("board", "shop.OrderPaid")])
        assert await store.read_subscriptions() == [
            Subscription("board", "shop.OrderPaid", position),
            Subscription("board", "shop.OrderPlaced", 1),
        ]
        await store.subscribe([])
        assert await store.read_subscriptions() == []
