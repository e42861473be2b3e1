"""What people look for: instances and deliveries by what is known of them."""

from __future__ import annotations

from typing import Any

from sagakit.core.commit import Commit, Envelope, InstanceWrite
from sagakit.core.queries import DeliveryQuery, InstanceQuery, Listed
from sagakit.ports import Store
from sagakit.testing.store_contract.samples import delivery, instance, message, search, sent, started, timer, write


async def listed(store: Store, **wanted: Any) -> list[str]:
    """The ids of the instances that match, in their order."""
    return [entry.row.id for entry in await store.read_instances(InstanceQuery(**wanted))]


async def found(store: Store, **wanted: Any) -> list[int]:
    """The ids of the deliveries that match, in their order."""
    return [one.id for one in await store.find_deliveries(DeliveryQuery(**wanted))]


LIVE = ["running", "undoing", "parked", "compensation_failed"]


class LookingContract:
    """Every filter alone, together with others, and in pages."""

    async def test_instances_newest_first_in_pages(self, store: Store) -> None:
        await write(store, *(started(f"i{number}") for number in range(7)))
        read: list[Listed] = []
        before = None
        while page := await store.read_instances(InstanceQuery(limit=3, after=before)):
            read += page
            before = page[-1].row.number
        assert [entry.row.id for entry in read] == [f"i{number}" for number in reversed(range(7))]
        assert all(entry.search.instance == entry.row.id for entry in read)

    async def test_instances_oldest_first_in_pages(self, store: Store) -> None:
        await write(store, *(started(f"i{number}") for number in range(7)))
        read: list[Listed] = []
        after = None
        while page := await store.read_instances(InstanceQuery(limit=3, after=after, order="oldest")):
            read += page
            after = page[-1].row.number
        assert [entry.row.id for entry in read] == [f"i{number}" for number in range(7)]

    async def test_instances_by_what_people_look_for(self, store: Store) -> None:
        await write(
            store,
            started("one", key="A", status="parked", trace_id="t1"),
            started("two", key="B", status="parked", correlation_id="another story"),
            started("three", key="A", type="shop.refund"),
        )
        assert await listed(store, key="A") == ["three", "one"]
        assert await listed(store, status="parked") == ["two", "one"]
        assert await listed(store, type="shop.refund") == ["three"]
        assert await listed(store, trace_id="t1") == ["one"]
        assert await listed(store, correlation_id="story") == ["three", "one"]
        assert await listed(store, correlation_id="another story", status="parked") == ["two"]
        assert await listed(store, key="A", status="parked") == ["one"]
        assert await listed(store, key="C") == []

    async def test_instances_that_have_not_ended(self, store: Store) -> None:
        statuses = [
            "running",
            "undoing",
            "parked",
            "compensation_failed",
            "completed",
            "compensated",
            "abandoned",
            "running",
        ]
        await write(store, *(started(str(place), status=status) for place, status in enumerate(statuses)))
        assert await listed(store, status="live") == ["7", "3", "2", "1", "0"]
        assert await listed(store, status="live", limit=2) == ["7", "3"]
        assert await listed(store, status="live", order="oldest", limit=3) == ["0", "1", "2"]
        assert await listed(store, status="live", key="key of 5") == []
        assert await listed(store, status="live", correlation_id="story", limit=1) == ["7"]
        assert await listed(store, status="abandoned") == ["6"]
        assert await listed(store, status="asleep") == []

    async def test_instances_by_when_they_started(self, store: Store) -> None:
        await write(store, *(started(str(at), started_at=at) for at in (10, 20, 30, 40)))
        assert await listed(store, started_after=10, started_before=40) == ["30", "20"]
        assert await listed(store, started_before=20, order="oldest") == ["10"]
        assert await listed(store, started_after=40) == []

    async def test_instances_by_their_attributes(self, store: Store) -> None:
        await write(
            store,
            started("one", attributes=b'{"city":"Kyoto","guests":2,"vip":true}'),
            started("two", status="completed", attributes=b'{"city":"Kyoto","guests":12,"rate":1.50,"vip":"true"}'),
            started("three", attributes=b'{"city":"\\u00c5rhus","guests":2,"note":null,"a.b \\"c\\"":"odd"}'),
            started("four"),
        )
        assert await listed(store, attributes=(("city", "Kyoto"),)) == ["two", "one"]
        assert await listed(store, attributes=(("city", "Kyoto"),), order="oldest", limit=1) == ["one"]
        assert await listed(store, attributes=(("city", "Kyoto"),), status="live") == ["one"]
        assert await listed(store, attributes=(("guests", "2"),)) == ["three", "one"]
        assert await listed(store, attributes=(("guests", "2"), ("city", "Kyoto"))) == ["one"]
        assert await listed(store, attributes=(("city", "\u00c5rhus"),)) == ["three"]
        assert await listed(store, attributes=(("vip", "true"),)) == ["two", "one"]
        assert await listed(store, attributes=(("rate", "1.50"),)) == ["two"]
        assert await listed(store, attributes=(("note", "null"),)) == ["three"]
        assert await listed(store, attributes=(('a.b "c"', "odd"),)) == ["three"]
        assert await listed(store, attributes=(("city", "kyoto"),)) == []
        assert await listed(store, attributes=(("town", "Kyoto"),)) == []

    async def test_attributes_are_found_as_they_are_now(self, store: Store) -> None:
        await write(store, started("one", attributes=b'{"city":"Kyoto","guests":2}'), started("two"))
        changed = [search("one", attributes=b'{"city":"Osaka"}'), search("two", attributes=b'{"city":"Osaka"}')]
        await write(store, Commit(search=changed))
        assert await listed(store, attributes=(("city", "Osaka"),)) == ["two", "one"]
        assert await listed(store, attributes=(("city", "Kyoto"),)) == []
        assert await listed(store, attributes=(("guests", "2"),)) == []
        page = await store.read_instances(InstanceQuery(attributes=(("city", "Osaka"),), limit=1))
        assert await listed(store, attributes=(("city", "Osaka"),), after=page[0].row.number) == ["one"]
        await write(store, Commit(search=[search("one")]))
        assert await listed(store, attributes=(("city", "Osaka"),)) == ["two"]

    async def test_an_instance_without_a_search_row_is_not_listed(self, store: Store) -> None:
        await write(store, Commit(instances=[InstanceWrite(instance("one"), 0)]), started("two"))
        assert await listed(store) == ["two"]
        assert await listed(store, status="live") == ["two"]

    async def test_deliveries_in_pages_with_those_for_later(self, store: Store) -> None:
        ready, scheduled, parked = sent(), timer(), sent(state="parked", error="card reader: no paper")
        await write(store, ready, Commit(deliveries=[scheduled]), parked)
        everything = [*ready.deliveries, scheduled, *parked.deliveries]
        assert await store.find_deliveries(DeliveryQuery()) == everything
        assert await store.find_deliveries(DeliveryQuery(limit=2)) == everything[:2]
        assert await store.find_deliveries(DeliveryQuery(after=everything[1].id)) == everything[2:]

    async def test_a_delivery_of_several_messages_is_found_whole(self, store: Store) -> None:
        messages = [message() for _ in range(3)]
        whole = delivery(messages[0], more=tuple(messages[1:]))
        await write(store, Commit(messages=messages, deliveries=[whole, delivery(messages[1])]))
        assert (await store.find_deliveries(DeliveryQuery(limit=1))) == [whole]

    async def test_deliveries_by_what_people_look_for(self, store: Store) -> None:
        charge = message(sender="saga one")
        charge.type = "shop.ChargeCard"
        first = delivery(charge, state="retrying", error="card reader: no paper", lane="payments/1")
        second = delivery(message(), consumer="orders.place", state="parked", error="100% broken")
        later = Envelope("later", "command", "shop.ChargeCard", b"{}", "story", 1, sender="saga two")
        third = timer(later, lane="payments/1", consumer="payments.charge")
        fourth = delivery(second.envelope, lane="payments/1")
        messages = [charge, second.envelope]
        await write(store, Commit(messages=messages, deliveries=[first, second, third, fourth]))
        one, two, three, four = first.id, second.id, third.id, fourth.id
        assert await found(store, state="ready") == [four]
        assert await found(store, state="retrying") == [one]
        assert await found(store, state="parked") == [two]
        assert await found(store, state="scheduled") == [three]
        assert await found(store, consumer="orders.place") == [one, two, four]
        assert await found(store, consumer="payments.charge") == [three]
        assert await found(store, type="shop.ChargeCard") == [one, three]
        assert await found(store, type="shop.ChargeCard", state="scheduled") == [three]
        assert await found(store, lane="payments/1") == [one, three, four]
        assert await found(store, lane="payments/1", limit=2) == [one, three]
        assert await found(store, lane="payments/1", after=one) == [three, four]
        assert await found(store, lane="payments/1", state="scheduled") == [three]
        assert await found(store, sender="saga one") == [one]
        assert await found(store, sender="saga two", type="shop.ChargeCard") == [three]
        assert await found(store, error="no paper") == [one]
        assert await found(store, error="0%") == [two]
        assert await found(store, error="") == [one, two, three, four]
        assert await found(store, error="Paper") == []
        assert await found(store, type="shop.ChargeCard", error="no paper", lane="payments/2") == []
