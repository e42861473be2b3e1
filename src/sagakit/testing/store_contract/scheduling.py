"""Deliveries for later: in the order in which they come due, fired once or forgotten, whichever is first."""

from __future__ import annotations

from sagakit.core.commit import Commit, DeliveryChange, DeliveryState, Fence
from sagakit.ports import Store
from sagakit.testing.store_contract.samples import (
    MakeStore,
    delivery,
    event,
    fired,
    full_message,
    message,
    read_all,
    rejected,
    sent,
    timer,
    write,
)


class SchedulingContract:
    """A scheduled delivery carries its message; the log knows it when it fires."""

    async def test_a_scheduled_delivery_carries_its_message(self, store: Store) -> None:
        scheduled = timer(full_message(), 1_800_000_000_000_000, attempt=2, error="why")
        await write(store, Commit(deliveries=[scheduled]))
        assert scheduled.id > 0
        assert scheduled.envelope.position == 0
        assert await store.read_scheduled() == [scheduled]
        assert await store.read_delivery(scheduled.id) == scheduled
        assert await store.read_messages() == []

    async def test_the_scheduled_are_not_among_the_others(self, store: Store) -> None:
        ready, scheduled = sent(), timer()
        await write(store, Commit(deliveries=[timer()]), ready, Commit(deliveries=[scheduled]))
        assert await store.read_deliveries() == ready.deliveries
        assert await store.read_deliveries(limit=1) == ready.deliveries

    async def test_they_come_in_the_order_of_their_time_in_pages(self, store: Store) -> None:
        timers = [timer(due_at=due) for due in (500, 100, 300, 300, 300, 300, 200)]
        await write(store, Commit(deliveries=timers[:4]), Commit(deliveries=timers[4:]))
        expected = [timers[place] for place in (1, 6, 2, 3, 4, 5, 0)]
        assert await store.read_scheduled() == expected
        found = await store.read_scheduled(limit=2)
        while page := await store.read_scheduled(after=(found[-1].due_at, found[-1].id), limit=2):
            found += page
        assert found == expected
        assert await store.read_scheduled(after=(300, 0)) == expected[2:]

    async def test_fired_it_is_in_the_log_and_ready(self, store: Store) -> None:
        scheduled = timer(full_message())
        await write(store, Commit(deliveries=[scheduled]))
        fire = fired(scheduled)
        fire.messages[0].recorded_at = 1_900_000_000_000_000
        await write(store, fire)
        assert await store.read_scheduled() == []
        assert await store.read_deliveries() == fire.deliveries
        assert await store.read_messages() == fire.messages
        assert await rejected(store, fired(scheduled)) == "gone"
        assert len(await read_all(store)) == 1

    async def test_it_fires_once_in_a_group(self, store: Store) -> None:
        scheduled = timer()
        await write(store, Commit(deliveries=[scheduled]))
        answers = await store.commit([fired(scheduled), fired(scheduled)])
        assert [answer and answer.why for answer in answers] == [None, "gone"]
        assert await read_all(store) == [scheduled.envelope.id]

    async def test_the_next_owner_finds_and_fires_it(self, make_store: MakeStore, store: Store) -> None:
        scheduled, forgotten = timer(), timer()
        await write(store, Commit(deliveries=[scheduled, forgotten]))
        await store.close(clean=False)
        again = make_store()
        await again.open()
        assert await again.read_scheduled() == [scheduled, forgotten]
        await write(again, fired(scheduled), Commit(forgotten=[forgotten.envelope.id]))
        assert await again.read_scheduled() == []
        assert await read_all(again) == [scheduled.envelope.id]
        await again.close()

    async def test_forgotten_it_leaves_nothing_behind(self, store: Store) -> None:
        wanted, unwanted = timer(), timer()
        await write(store, Commit(deliveries=[wanted, unwanted]))
        await write(store, Commit(forgotten=[unwanted.envelope.id, "nobody"]))
        assert await store.read_scheduled() == [wanted]
        assert await store.read_delivery(unwanted.id) is None
        await write(store, Commit(forgotten=[unwanted.envelope.id]))
        assert await rejected(store, fired(unwanted)) == "gone"
        assert await read_all(store) == []

    async def test_many_are_forgotten_at_once(self, store: Store) -> None:
        timers = [timer() for _ in range(300)]
        await write(store, Commit(deliveries=timers))
        await write(store, Commit(forgotten=[one.envelope.id for one in timers[1:]]))
        assert await store.read_scheduled() == timers[:1]

    async def test_forgotten_first_it_does_not_fire(self, store: Store) -> None:
        scheduled = timer()
        await write(store, Commit(deliveries=[scheduled]))
        forget = Commit(forgotten=[scheduled.envelope.id], messages=[message()])
        answers = await store.commit([forget, fired(scheduled)])
        assert [answer and answer.why for answer in answers] == [None, "gone"]
        assert await read_all(store) == [forget.messages[0].id]
        assert await store.read_deliveries() == []

    async def test_fired_first_it_is_not_forgotten(self, store: Store) -> None:
        scheduled = timer()
        await write(store, Commit(deliveries=[scheduled]))
        fire = fired(scheduled)
        await write(store, fire, Commit(forgotten=[scheduled.envelope.id]))
        assert await read_all(store) == [scheduled.envelope.id]
        assert await store.read_deliveries() == fire.deliveries
        await write(store, Commit(forgotten=[scheduled.envelope.id]))
        assert await store.read_deliveries() == fire.deliveries

    async def test_a_dropped_commit_forgets_nothing(self, store: Store) -> None:
        scheduled = timer()
        await write(store, Commit(deliveries=[scheduled]))
        dropped = Commit(forgotten=[scheduled.envelope.id], messages=[event("order/1", 7)])
        answers = await store.commit([dropped, fired(scheduled)])
        assert [answer and answer.why for answer in answers] == ["conflict", None]

    async def test_scheduled_and_forgotten_in_one_group_or_one_commit(self, store: Store) -> None:
        one, two, three = timer(), timer(), timer()
        at_once = Commit(deliveries=[two, three], forgotten=[two.envelope.id])
        await write(store, Commit(deliveries=[one]), at_once, Commit(forgotten=[one.envelope.id]))
        assert await store.read_scheduled() == [three]
        assert await rejected(store, fired(one)) == "gone"
        assert await rejected(store, fired(two)) == "gone"
        await write(store, fired(three))

    async def test_what_is_scheduled_no_more_is_not_forgotten(self, store: Store) -> None:
        scheduled = timer()
        id, forget = scheduled.envelope.id, Commit(forgotten=[scheduled.envelope.id])
        await write(store, Commit(deliveries=[scheduled]))
        states: list[DeliveryState] = ["parked", "scheduled", "ready"]
        for attempt, state in enumerate(states, 1):
            change = DeliveryChange(Fence(scheduled.id, attempt), state, attempt + 1, due_at=9)
            if state == "scheduled":
                await write(store, Commit(changes=[change]))
                continue
            await write(store, Commit(changes=[change]), forget)  # in one group, and after it
            await write(store, Commit(forgotten=[id]))
            assert await store.read_scheduled() == []
            [found] = await store.read_deliveries()
            assert (found.id, found.state, found.envelope) == (scheduled.id, state, scheduled.envelope)
        await write(store, Commit(changes=[DeliveryChange(Fence(scheduled.id, 4), "scheduled", 5, due_at=9)]), forget)
        assert await store.read_delivery(scheduled.id) is None

    async def test_one_that_got_another_message_carries_none(self, store: Store) -> None:
        scheduled = timer()
        await write(store, Commit(deliveries=[scheduled]))
        other, forget = message(), Commit(forgotten=[scheduled.envelope.id])
        change = DeliveryChange(Fence(scheduled.id, 1), "scheduled", 2, due_at=9, envelope=other)
        await write(store, Commit(messages=[other], changes=[change]), forget)
        await write(store, Commit(forgotten=[scheduled.envelope.id]))
        [found] = await store.read_scheduled()
        assert (found.id, found.envelope) == (scheduled.id, other)
        await write(store, Commit(done=[Fence(scheduled.id, 2)]))
        assert await store.read_scheduled() == []

    async def test_only_a_delivery_that_carries_its_message_is_forgotten(self, store: Store) -> None:
        waiting = sent(state="scheduled", due_at=5)
        await write(store, waiting)
        await write(store, Commit(forgotten=[waiting.messages[0].id]))
        assert await store.read_scheduled() == waiting.deliveries

    async def test_a_scheduled_delivery_is_withdrawn_as_any_other(self, store: Store) -> None:
        scheduled = timer()
        await write(store, Commit(deliveries=[scheduled]))
        await write(store, Commit(withdrawn=[scheduled.id]), Commit(forgotten=[scheduled.envelope.id]))
        assert await store.read_scheduled() == []
        assert await rejected(store, fired(scheduled)) == "gone"

    async def test_one_delivery_whatever_its_state(self, store: Store) -> None:
        ready, scheduled = sent(), timer()
        outcome = Commit(messages=[message() for _ in range(3)])
        outcome.deliveries.append(delivery(outcome.messages[0], more=tuple(outcome.messages[1:])))
        await write(store, ready, Commit(deliveries=[scheduled]), outcome)
        for found in (ready.deliveries[0], scheduled, outcome.deliveries[0]):
            assert await store.read_delivery(found.id) == found
        await write(store, Commit(done=[Fence(ready.deliveries[0].id, 1)]))
        assert await store.read_delivery(ready.deliveries[0].id) is None
        assert await store.read_delivery(4711) is None

    async def test_when_the_newest_message_was_recorded(self, store: Store) -> None:
        assert await store.last_recorded() == 0
        first, second = message(), message()
        first.recorded_at, second.recorded_at = 70, 50
        await write(store, Commit(messages=[first], deliveries=[timer()]))
        assert await store.last_recorded() == 70
        await write(store, Commit(messages=[second]))
        assert await store.last_recorded() == 50
