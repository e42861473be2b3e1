"""Several workers on one store: who lives, who owns what, and that nothing that one writes for another is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

import pytest
import pytest_asyncio

from sagakit.core.cluster.members import OPERATOR, WITHDRAW, Claim, Lease, Notice, Routes, Unclaimed, Worker
from sagakit.core.commit import Commit, Delivery, Fence, Subscription
from sagakit.core.streams import partition_of
from sagakit.errors import LeaseLost, StoreFailed
from sagakit.ports import Cluster, Store
from sagakit.testing.store_contract.samples import MakeStore, delivery, message, rejected, sent, timer, write

Join: TypeAlias = Callable[..., Awaitable[tuple[Store, Cluster]]]
"""A store that a worker of this name has joined: (name, subscriptions=(), declares=...)."""
Expire: TypeAlias = Callable[[str], Awaitable[None]]
"""Let the lease of the worker with this id expire."""

PLACED, PAID = Subscription("board", "shop.OrderPlaced"), Subscription("board", "shop.OrderPaid", kind="p", key="id")


def placed(consumer: str, partition: int) -> Commit:
    """A message with one delivery in this partition."""
    return sent(consumer=consumer, partition=partition)


@pytest.mark.asyncio
class ClusterContract:
    """Subclass this, and override `make_store` and `expire`."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Gives new stores that are not open yet, all on the same data, which is empty at first."""
        raise NotImplementedError("give a fixture `make_store` that returns a function that makes a store")

    @pytest.fixture
    def expire(self, make_store: MakeStore) -> Expire:
        """Gives a function that lets a worker's lease expire."""
        raise NotImplementedError("give a fixture `expire` that returns an async function")

    @pytest_asyncio.fixture
    async def join(self, make_store: MakeStore) -> AsyncGenerator[Join]:
        """Workers, which have all ended afterwards."""
        stores: list[Store] = []

        async def join(
            name: str, *subscriptions: Subscription, declares: tuple[str, ...] = ("board",), app: str = "shop"
        ) -> tuple[Store, Cluster]:
            store = make_store()
            cluster = store.cluster
            assert cluster is not None
            await cluster.prepare()
            await store.open(own=False)
            stores.append(store)
            await cluster.join(Worker(name, name.upper(), "host", 7, app, "1", None, declares), subscriptions)
            return store, cluster

        yield join
        for store in stores:
            await store.close()

    # ------------------------------------------------------------------ members

    async def test_what_no_living_worker_has_code_for_is_named(self, join: Join, make_store: MakeStore) -> None:
        one, cluster = await join("one")
        _, two = await join("two", declares=("ship#3", "pay#1"))
        consumers = ("board", "ship", "ship", "pay", WITHDRAW, OPERATOR, "gone")
        envelope = message()
        waiting = [delivery(envelope, consumer=name, lane=f"{name}/{at}") for at, name in enumerate(consumers)]
        await write(one, Commit(messages=[envelope], deliveries=waiting))
        assert await cluster.read_unclaimed() == [Unclaimed("gone", 1)]
        await two.leave()
        reader = make_store()
        await reader.open(own=False)
        assert reader.cluster is not None
        left = [Unclaimed("gone", 1), Unclaimed("pay", 1), Unclaimed("ship", 2)]
        assert await reader.cluster.read_unclaimed() == left
        await reader.close()

    async def test_who_lives(self, join: Join, make_store: MakeStore) -> None:
        _, one = await join("one")
        two_store, two = await join("two", declares=())
        assert [worker.id for worker in await one.workers()] == ["one", "two"]
        await two_store.announce("http://127.0.0.1:8080")
        [first, second] = await one.renew()
        assert (first.name, first.host, first.pid, first.app, first.declares) == ("ONE", "host", 7, "shop", ("board",))
        assert (second.url, second.declares) == ("http://127.0.0.1:8080", ())
        assert 0 < first.joined_at <= first.renewed_at < first.expires_at
        await two.leave()
        reader = make_store()
        await reader.open(own=False)
        assert reader.cluster is not None
        assert [worker.id for worker in await reader.cluster.workers()] == ["one"]
        await reader.close()

    async def test_they_write_and_read_side_by_side(self, join: Join) -> None:
        one, _ = await join("one")
        two, _ = await join("two")
        commits = [placed("board", number) for number in range(6)]
        for place, commit in enumerate(commits):
            await write((one, two)[place % 2], commit)
        assert await one.read_deliveries() == [commit.deliveries[0] for commit in commits]
        positions = [commit.messages[0].position for commit in commits]
        assert positions == sorted(set(positions)), "what was committed later comes later"
        await write(two, Commit(done=[Fence(commits[0].deliveries[0].id, 1)]))
        assert await rejected(one, Commit(done=[Fence(commits[0].deliveries[0].id, 1)])) == "gone"

    async def test_one_that_left_writes_nothing(self, join: Join) -> None:
        one, cluster = await join("one")
        await write(one, placed("board", 1))
        await cluster.leave()
        await cluster.leave()
        with pytest.raises((StoreFailed, LeaseLost)):
            await one.commit([placed("board", 1)])

    async def test_whose_lease_has_expired_is_expelled_by_another(self, join: Join, expire: Expire) -> None:
        one, first = await join("one")
        _, second = await join("two")
        await first.claim({"board": {1, 2}})
        await first.release({"board": {2}}, clean=True)
        assert await second.expel_expired() == []
        await expire("one")
        assert await second.expel_expired() == ["one"]
        assert [worker.id for worker in await second.renew()] == ["two"]
        commit = placed("board", 1)
        for fenced in (one.commit([commit]), first.renew(), first.claim({"board": {9}}), one.commit([Commit()])):
            with pytest.raises(LeaseLost):
                await fenced
        assert commit.messages[0].position == 0
        assert await one.read_messages() == []
        assert await second.claim({"board": {1, 2}}) == [Claim("board", 1, False), Claim("board", 2, True)]

    async def test_one_that_renews_in_time_is_not_expelled(self, join: Join, expire: Expire) -> None:
        one, first = await join("one")
        _, second = await join("two")
        await first.renew()
        assert await second.expel_expired() == []
        await write(one, placed("board", 1))

    # ------------------------------------------------------------------ partitions

    async def test_a_partition_has_one_owner(self, join: Join) -> None:
        _, one = await join("one")
        _, two = await join("two")
        assert await one.claim({"board": {3, 1}, "mail": [1]}) == [
            Claim("board", 1, True), Claim("board", 3, True), Claim("mail", 1, True)
        ]  # fmt: skip
        assert await two.claim({"board": {1, 2}}) == [Claim("board", 2, True)]
        # as if the answer to the first call had been lost
        assert await one.claim({"board": {1, 2}}) == [Claim("board", 1, True)]
        await two.release({"board": {1, 2}}, clean=False)
        assert await two.leases() == [
            Lease("board", 1, "one", False), Lease("board", 2, None, False), Lease("board", 3, "one", False),
            Lease("mail", 1, "one", False),
        ]  # fmt: skip
        assert await one.claim({"board": {2}}) == [Claim("board", 2, False)]
        await one.release({"board": {2, 3}}, clean=True)
        assert await two.claim({"board": {2, 3}}) == [Claim("board", 2, True), Claim("board", 3, True)]

    async def test_what_is_left_behind_is_not_clean(self, join: Join) -> None:
        _, one = await join("one")
        await one.claim({"board": {1, 2}})
        await one.release({"board": {1}}, clean=True)
        await one.leave()
        _, two = await join("two")
        assert await two.claim({"board": {1, 2}}) == [Claim("board", 1, True), Claim("board", 2, False)]

    async def test_of_many_at_once_one_owns_it(self, join: Join) -> None:
        clusters = [(await join(f"w{number}"))[1] for number in range(4)]
        claims = await asyncio.gather(*(cluster.claim({"board": range(40)}) for cluster in clusters))
        assert sorted(claim.partition for each in claims for claim in each) == list(range(40))

    # ------------------------------------------------------------------ arrivals

    async def test_what_others_write_arrives_once(self, join: Join) -> None:
        one, mine = await join("one")
        two, _ = await join("two")
        await mine.claim({"board": {1, 2}})
        owned = {"board": {1, 2}, WITHDRAW: {1, 2}}
        assert await mine.read_arrivals(owned) == []
        commits = [placed("board", 1), placed("board", 3), placed("mail", 1), placed("board", 2)]
        later = timer(consumer="board", partition=2)
        await write(two, *commits[:3])
        await write(two, commits[3], Commit(deliveries=[later]))
        await write(one, placed("board", 1))
        expected = [*commits[0].deliveries, *commits[3].deliveries, later]
        assert await mine.read_arrivals(owned) == sorted(expected, key=lambda one: one.id)
        assert await mine.read_arrivals(owned) == []
        more = placed("board", 1)
        await write(two, more)
        assert await mine.read_arrivals(owned) == more.deliveries

    async def test_what_is_done_does_not_arrive(self, join: Join) -> None:
        one, mine = await join("one")
        two, _ = await join("two")
        await mine.claim({"board": {1}})
        commit = placed("board", 1)
        await write(two, commit)
        await write(one, Commit(done=[Fence(commit.deliveries[0].id, 1)]))
        assert await mine.read_arrivals({"board": {1}}) == []

    async def test_of_the_engines_own_only_that_of_others_arrives(self, join: Join) -> None:
        one, mine = await join("one")
        two, _ = await join("two")
        await mine.claim({"board": {1}})
        owned = {"board": {1}, WITHDRAW: {1}}
        theirs, ours = placed(WITHDRAW, 1), placed(WITHDRAW, 1)
        await write(two, theirs)
        await write(one, ours)
        assert await mine.read_arrivals(owned) == theirs.deliveries

    async def test_nothing_falls_between_two_owners(self, join: Join) -> None:
        """Whoever owns it next finds everything: in the store, or as an arrival."""
        one, first = await join("one")
        two, second = await join("two")
        seen: set[int] = set()
        written: set[int] = set()
        owner, owned = first, {"board": {1}}
        await owner.claim(owned)
        for turn in range(6):
            commits = [placed("board", 1) for _ in range(3)]
            answers = await asyncio.gather(one.commit(commits[:2]), two.commit(commits[2:]))
            assert answers == [[None, None], [None]]
            written |= {commit.deliveries[0].id for commit in commits}
            await owner.release(owned, clean=True)
            owner = (second, first)[turn % 2]
            await owner.claim(owned)
            seen |= {found.id for found in await owner.read_arrivals(owned)}
            seen |= {found.id for found in await (two, one)[turn % 2].read_deliveries(of=owned)}
        assert seen == written

    # ------------------------------------------------------------------ routes

    async def test_a_new_subscription_rejects_what_was_routed_before(self, join: Join) -> None:
        one, first = await join("one", PLACED)
        old = await first.read_routes()
        assert old.subscriptions == (PLACED,)
        commit = placed("board", 1)
        commit.routing = old.version
        await write(one, commit)
        _, second = await join("two", PLACED, PAID)
        new = await second.read_routes()
        assert new.version > old.version
        assert new.subscriptions == (
            Subscription("board", "shop.OrderPaid", commit.messages[0].position, "p", "id"), PLACED
        )  # fmt: skip
        stale, other = placed("board", 1), placed("board", 1)
        stale.routing = old.version
        answers = await one.commit([other, stale])
        assert [answer and (answer.why, answer.what) for answer in answers] == [None, ("conflict", "routing")]
        assert stale.messages[0].position == 0
        assert await first.read_routes() == new
        stale.routing = new.version
        await write(one, stale)

    async def test_who_joins_with_nothing_new_is_known_to_the_others_with_their_next_commit(self, join: Join) -> None:
        one, first = await join("one", PLACED)
        old = await first.read_routes()
        other, second = await join("two", PLACED)
        commit = placed("board", 1)
        commit.routing = old.version
        (answer,) = await one.commit([commit])
        assert answer is not None
        assert (answer.why, answer.what) == ("conflict", "routing")
        new = await first.read_routes()
        assert (new.subscriptions, new == await second.read_routes()) == (old.subscriptions, True)
        for store in (one, other):
            commit = placed("board", 1)
            commit.routing = new.version
            await write(store, commit)

    async def test_a_subscription_stands_as_long_as_somebody_asks(self, join: Join) -> None:
        _, old = await join("old", PLACED)
        _, _ = await join("another", Subscription("report", "shop.OrderPlaced"), app="another")
        _, new = await join("new", PAID)
        names = [(one.consumer, one.type) for one in (await new.read_routes()).subscriptions]
        assert names == [("board", "shop.OrderPaid"), ("board", "shop.OrderPlaced"), ("report", "shop.OrderPlaced")]
        await old.leave()
        await join("sender", declares=())
        assert len((await new.read_routes()).subscriptions) == 3
        await join("newer", PAID)
        names = [(one.consumer, one.type) for one in (await new.read_routes()).subscriptions]
        assert names == [("board", "shop.OrderPaid"), ("report", "shop.OrderPlaced")]

    async def test_join_tells_the_routes(self, join: Join, make_store: MakeStore) -> None:
        _, one = await join("one", PLACED)
        routes = await one.read_routes()
        assert isinstance(routes, Routes)
        await one.leave()
        _, again = await join("two", PLACED)
        assert await again.read_routes() == routes, "nothing is new to the store"

    # ------------------------------------------------------------------ commands that are given up

    async def test_the_delivery_of_a_command(self, join: Join) -> None:
        one, cluster = await join("one")
        envelope, other = message(), message("another story")
        command = delivery(envelope, consumer="board", lane=envelope.id)
        behind = delivery(envelope, consumer=WITHDRAW, lane=f"!w/{envelope.id}", partition=3)
        await write(one, Commit(messages=[envelope, other], deliveries=[behind, command, delivery(other)]))
        assert await cluster.find_delivery(envelope.position) == command
        assert await cluster.find_delivery(4711) is None
        found = await cluster.read_outstanding(envelope.correlation_id)
        assert found == sorted((behind, command), key=lambda each: each.id)

    async def test_a_command_is_being_withdrawn(self, join: Join) -> None:
        one, cluster = await join("one")
        envelope = message()
        command = delivery(envelope, consumer="board", lane=envelope.id)
        await write(one, Commit(messages=[envelope], deliveries=[command]))
        asked = (envelope.id, "another")
        assert await cluster.withdrawing(asked) == set()
        mark = Delivery(envelope, WITHDRAW, f"!w/{envelope.id}", partition=partition_of(command))
        await write(one, Commit(withdrawn=[command.id], deliveries=[mark]))
        assert await cluster.withdrawing(asked) == {envelope.id}
        assert await cluster.withdrawing(["another"]) == set()
        assert await cluster.withdrawing([]) == set()
        assert await one.read_deliveries() == [mark]
        await write(one, Commit(done=[Fence(mark.id, 1)]))
        assert await cluster.withdrawing(asked) == set()

    # ------------------------------------------------------------------ notices

    async def test_notices_reach_the_others(self, join: Join) -> None:
        _, one = await join("one")
        _, two = await join("two")
        _, three = await join("three")
        heard: dict[str, asyncio.Queue[Notice]] = {name: asyncio.Queue() for name in ("one", "two", "three")}
        for name, cluster in (("one", one), ("two", two), ("three", three)):
            cluster.listen(heard[name].put_nowait)
        long = tuple(f"{number:040}" for number in range(500))
        await one.notify([Notice("came", ("7", "8")), Notice("news", ("x",), "three")])
        await two.notify([Notice("many", long)])
        assert await heard["two"].get() == Notice("came", ("7", "8"), None, "one")
        assert await heard["three"].get() == Notice("came", ("7", "8"), None, "one")
        assert await heard["three"].get() == Notice("news", ("x",), "three", "one")
        about: tuple[str, ...] = ()
        while len(about) < len(long):
            found = await heard["one"].get()
            assert (found.kind, found.sender) == ("many", "two")
            about += found.about
        assert about == long
        assert heard["two"].empty()
