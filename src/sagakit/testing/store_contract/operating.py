"""Batches and pauses, and who owns the store."""

from __future__ import annotations

from sagakit.core.commit import Commit, DeliveryChange, Fence, Item, ItemState, Pause
from sagakit.core.queries import Counted
from sagakit.ports import Store
from sagakit.testing.store_contract.samples import (
    MakeStore,
    delivery,
    event,
    item,
    message,
    rejected,
    started,
    write,
)


async def in_states(store: Store, *states: ItemState) -> list[int]:
    """The indexes of the items of the first batch in these states."""
    return [found.index for found in await store.read_items("one", 1, states=states)]


class OperatingContract:
    """What the engine and its operators keep beside messages and instances."""

    async def test_an_item_comes_back_whole_and_changes(self, store: Store) -> None:
        begin = started("one")
        begin.items = [Item("one", 2, 5, b'"a"', "command", b'["shop.Charge",1,{}]', "failed", "no money", b'["undo"]')]
        await write(store, begin)
        assert await store.read_items("one", 2) == begin.items
        changed = Item("one", 2, 5, b'"b"', "another", b'["shop.Charge",2,{}]', "undone", "", b"")
        await write(store, Commit(items=[changed]))
        assert await store.read_items("one", 2) == [changed]
        assert await store.count_items("one") == [Counted(2, "undone", 1)]

    async def test_the_last_of_several_changes_of_an_item_stands(self, store: Store) -> None:
        twice = Commit(items=[item("one", 1, "failed"), item("one", 1, "done")])
        await write(store, started("one"), Commit(items=[item("one", 1)]), twice)
        assert await store.read_items("one", 1) == [item("one", 1, "done")]
        assert await store.count_items("one") == [Counted(1, "done", 1)]

    async def test_hundreds_of_items_in_one_commit(self, store: Store) -> None:
        begin = started("one")
        begin.items = [item("one", index) for index in range(777)]
        await write(store, begin, started("two"))
        await write(store, Commit(items=[item("one", index, "done") for index in range(0, 777, 2)]))
        assert len(await store.read_items("one", 1)) == 777
        assert await store.count_items("one") == [Counted(1, "done", 389), Counted(1, "sent", 388)]
        assert await in_states(store, "sent") == list(range(1, 777, 2))

    async def test_items_in_pages_up_and_down(self, store: Store) -> None:
        states: list[ItemState] = ["done", "failed", "sent", "done", "done", "undoing", "done"]
        await write(store, started("one"))
        await write(store, Commit(items=[item("one", index, state) for index, state in enumerate(states)]))
        assert await in_states(store) == list(range(7))
        assert await in_states(store, "done") == [0, 3, 4, 6]
        assert await in_states(store, "failed", "undoing", "done") == [0, 1, 3, 4, 5, 6]
        assert await in_states(store, "done", "done") == [0, 3, 4, 6]
        assert await in_states(store, "undone") == []
        wanted: list[ItemState] = ["done", "undoing"]
        up = await store.read_items("one", 1, states=wanted, limit=2)
        while page := await store.read_items("one", 1, states=wanted, after=up[-1].index, limit=2):
            up += page
        assert [found.index for found in up] == [0, 3, 4, 5, 6]
        down = await store.read_items("one", 1, states=wanted, before=7, limit=2)
        while page := await store.read_items("one", 1, states=wanted, before=down[-1].index, limit=2):
            down += page
        assert down == list(reversed(up))
        assert [found.index for found in await store.read_items("one", 1, after=3)] == [4, 5, 6]
        assert [found.index for found in await store.read_items("one", 1, before=3)] == [2, 1, 0]
        assert [found.index for found in await store.read_items("one", 1, after=1, before=4)] == [3, 2]

    async def test_batches_of_one_instance_and_of_others_are_apart(self, store: Store) -> None:
        await write(store, started("one"), started("two"))
        items = [item("one", 0), item("one", 0, "failed", step=4), item("one", 1, "done", step=4), item("two", 0)]
        await write(store, Commit(items=items))
        assert await store.count_items("one") == [Counted(1, "sent", 1), Counted(4, "done", 1), Counted(4, "failed", 1)]
        assert await store.read_items("one", 4) == items[1:3]
        assert await store.read_items("two", 1) == items[3:]
        assert await store.read_items("two", 4) == []
        assert await store.read_items("nobody", 1) == []
        assert await store.count_items("nobody") == []

    async def test_an_instance_that_is_not_there_has_no_items(self, store: Store) -> None:
        assert await rejected(store, Commit(items=[item("nobody", 0)], messages=[message()])) == "conflict"
        assert await store.read_messages() == []

    async def test_a_dropped_commit_changes_no_item_and_no_pause(self, store: Store) -> None:
        pause = Pause("all", "", "ann", "audit", 1)
        await write(store, started("one"), Commit(items=[item("one", 0)], pauses=[pause]))
        dropped = Commit(
            messages=[event("order/1", 9)],
            items=[item("one", 0, "done")],
            pauses=[Pause("module", "shop", "bob", "", 2)],
            resumed=[("all", "")],
        )
        assert await rejected(store, dropped) == "conflict"
        assert await store.read_items("one", 1) == [item("one", 0)]
        assert await store.read_pauses() == [pause]

    async def test_pauses_stand_in_their_order_until_they_end(self, store: Store) -> None:
        everything = Pause("all", "", "ann", "audit", 1)
        module, process = Pause("module", "shop", "bob", "", 2), Pause("process", "shop", "bob", "slow", 3)
        await write(store, Commit(pauses=[everything, module]), Commit(pauses=[process]))
        assert await store.read_pauses() == [everything, module, process]
        anew = Pause("module", "shop", "eve", "longer", 9)
        await write(store, Commit(pauses=[anew]))
        assert await store.read_pauses() == [everything, anew, process]
        await write(store, Commit(resumed=[("all", ""), ("instance", "nobody")]))
        assert await store.read_pauses() == [anew, process]

    async def test_pauses_and_their_ends_in_one_group(self, store: Store) -> None:
        one, two = Pause("process", "one", "ann", "", 1), Pause("process", "two", "ann", "", 2)
        three, again = Pause("process", "three", "ann", "", 3), Pause("process", "one", "bob", "again", 4)
        await write(store, Commit(pauses=[one]))
        end_one, end_two = Commit(resumed=[("process", "one")]), Commit(resumed=[("process", "two")])
        await write(store, Commit(pauses=[two]), end_one, end_two, Commit(pauses=[three]), Commit(pauses=[again]))
        assert await store.read_pauses() == [three, again]
        await write(store, Commit(pauses=[two], resumed=[("process", "two")]))
        assert await store.read_pauses() == [three, again]

    async def test_pauses_and_items_outlive_their_owner(self, make_store: MakeStore, store: Store) -> None:
        pause, begin = Pause("instance", "one", "ann", "audit", 1), started("one")
        begin.items, begin.pauses = [item("one", 0)], [pause]
        await write(store, begin)
        await store.close(clean=False)
        again = make_store()
        await again.open()
        assert await again.read_pauses() == [pause]
        assert await again.read_items("one", 1) == begin.items
        await write(again, Commit(items=[item("one", 0, "done"), item("one", 1)]))
        assert await again.count_items("one") == [Counted(1, "done", 1), Counted(1, "sent", 1)]
        await again.close()

    async def test_a_new_round_of_attempts(self, store: Store) -> None:
        envelope = message()
        parked = delivery(envelope, state="parked", attempt=3, crashes=1, error="down")
        await write(store, Commit(messages=[envelope], deliveries=[parked]))
        anew = DeliveryChange(Fence(parked.id, 3), "ready", 4, 0, 0, "down", 3)
        await write(store, Commit(changes=[anew]))
        (found,) = await store.read_deliveries()
        assert (found.state, found.attempt, found.crashes, found.spent) == ("ready", 4, 0, 3)
        await write(store, Commit(changes=[DeliveryChange(Fence(parked.id, 4), "retrying", 5, 9, 0, "down")]))
        found = await store.read_delivery(parked.id)
        assert found is not None
        assert (found.attempt, found.spent, found.due_at) == (5, 3, 9), "what is not said stays"

    async def test_another_message_in_its_place(self, store: Store) -> None:
        old, behind, new, rest = message(), message(), message(), message()
        parked, waiting = delivery(old, state="parked", more=()), delivery(behind)
        await write(store, Commit(messages=[old, behind], deliveries=[parked, waiting]))
        edited = DeliveryChange(Fence(parked.id, 1), "ready", 2, 0, 0, None, 1, new, (rest,))
        await write(store, Commit(messages=[new, rest], changes=[edited]))
        first, second = await store.read_deliveries()
        assert (first.id, first.envelope, first.more) == (parked.id, new, (rest,)), "it keeps its place"
        assert second.envelope == behind
        assert await rejected(store, Commit(done=[Fence(parked.id, 1)])) is not None
