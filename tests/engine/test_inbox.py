"""The doors: what is acknowledged is durable, what repeats is known again, what cannot be taken is refused at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from tests.each_store import ON_EACH_STORE, new_store
from tests.engine.stage import Ask, Stage, Told, asking_app, until

from sagakit import (
    App,
    Busy,
    InvalidMessage,
    KeyInFlight,
    KeyReused,
    PayloadTooLarge,
    StaleVersion,
    Stopping,
    UnknownMessage,
)
from sagakit.engine.limits import Limits
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Unknown:
    key: str


@dataclass(frozen=True)
class Begun:
    key: str


@dataclass(frozen=True)
class Several:
    names: frozenset[str]
    by_name: dict[str, int]


def several(names: list[str]) -> Several:
    """Equal for equal names; what is written of it is in the order of these."""
    return Several(frozenset(names), dict.fromkeys(names, 1))


async def test_what_is_acknowledged_is_in_the_store_with_what_is_to_be_done() -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask())
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        receipt = await running.send(Ask(), trace="00-trace-span-01")
        (message,) = await store.read_messages()
        (delivery,) = await store.read_deliveries()
        assert (message.id, message.trace) == (receipt.message_id, "00-trace-span-01")
        assert (delivery.envelope.id, delivery.consumer) == (receipt.message_id, "t.ask")
        assert not receipt.repeated
        stage.opens(Ask())
        await running.settle()


async def test_a_key_gives_the_first_receipt_again_also_after_a_restart() -> None:
    stage, store = Stage(), new_store()
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        first = await running.send(Ask(), idempotency_key="k")
        again = await running.send(Ask(), idempotency_key="k")
        await running.settle()
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}) as running:
        later = await running.send(Ask(), idempotency_key="k")
        other = await running.send(Ask(), idempotency_key="another")
        await running.settle()
    assert (again.message_id, later.message_id) == (first.message_id, first.message_id)
    assert (first.repeated, again.repeated, later.repeated, other.repeated) == (False, True, True, False)
    assert len(stage.began) == 2


async def test_a_key_with_another_request_is_refused() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        await running.send(Ask(number=1), idempotency_key="k")
        with pytest.raises(KeyReused, match="the idempotency key 'k' came with another"):
            await running.send(Ask(number=2), idempotency_key="k")


async def test_the_digest_says_what_the_same_request_is() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        first = await running.send(Ask(number=1), idempotency_key="k", digest="body")
        again = await running.send(Ask(number=2), idempotency_key="k", digest="body")
        assert again == first._replace(repeated=True)
        with pytest.raises(KeyReused):
            await running.send(Ask(number=1), idempotency_key="k", digest="another body")


async def test_an_empty_digest_is_one_too() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        await running.send(Ask(number=1), idempotency_key="k", digest="")
        assert (await running.send(Ask(number=2), idempotency_key="k", digest="")).repeated
        with pytest.raises(KeyReused):
            await running.send(Ask(number=1), idempotency_key="k")


async def test_equal_messages_are_the_same_request_whatever_the_order_of_their_sets() -> None:
    """Each process orders a set of words in its own way: whoever asks again after a restart writes another payload."""
    app, names = App("t"), [str(number) for number in range(100)]

    @app.handles
    async def told(command: Several) -> Begun:
        return Begun(str(len(command.names)))

    async with engine(app) as running:
        first = await running.send(several(names), idempotency_key="k")
        (written,) = [one.payload for one in await running.store.read_messages() if one.type == "t.Several"]
        assert written != running.topology.codecs.of(several(names)).encode(several(names[::-1]))
        again = await running.send(several(names[::-1]), idempotency_key="k")
        assert again == first._replace(repeated=True)
        with pytest.raises(KeyReused):
            await running.send(several(names[1:]), idempotency_key="k")


async def test_while_the_first_is_being_accepted_the_second_is_told_so() -> None:
    stage = Stage()
    async with engine(asking_app(), provide={Stage: stage}) as running:
        answers = await asyncio.gather(
            *(running.send(Ask(), idempotency_key="k") for _ in range(3)), return_exceptions=True
        )
        assert [type(answer).__name__ for answer in answers] == ["Receipt", "KeyInFlight", "KeyInFlight"]
        assert isinstance(answers[1], KeyInFlight)
        assert (await running.send(Ask(), idempotency_key="k")).repeated
        await running.settle()
    assert len(stage.began) == 1


async def test_a_caller_who_goes_away_leaves_the_key_free_and_the_message_where_it_is() -> None:
    stage = Stage()
    async with engine(asking_app(), provide={Stage: stage}) as running:
        sending = asyncio.create_task(running.send(Ask(), idempotency_key="k"))
        await until(lambda: running._committer._waiting)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (await running.send(Ask(), idempotency_key="k")).repeated
        await running.settle()
    assert len(stage.began) == 1


async def test_keys_of_different_messages_are_apart() -> None:
    app = asking_app()
    heard: list[Begun] = []

    @app.on
    async def hears(event: Begun) -> None:
        heard.append(event)

    async with engine(app, provide={Stage: Stage()}) as running:
        assert not (await running.send(Ask(), idempotency_key="k")).repeated
        assert not (await running.publish(Begun("a"), idempotency_key="k")).repeated
        assert (await running.publish(Begun("a"), idempotency_key="k")).repeated
        await running.settle()
    assert heard == [Begun("a")]


# ---------------------------------------------------------------------- refusals


async def test_a_message_that_does_not_fit_its_type_is_refused_with_its_field() -> None:
    store = new_store()
    async with engine(asking_app(), store=store, provide={Stage: Stage()}) as running:
        with pytest.raises(InvalidMessage, match=r"t\.Ask: number: Expected `int`, got `str`"):
            await running.send(Ask("a", "one"))  # type: ignore[arg-type]
        with pytest.raises(PayloadTooLarge, match=r"t\.Ask: \d+ bytes, at most 1048576"):
            await running.send(Ask("a" * 2_000_000))
        with pytest.raises(UnknownMessage, match="Unknown is not a message of this app"):
            await running.send(Unknown("a"))
        with pytest.raises(UnknownMessage, match=r"nobody handles the command t\.Told"):
            await running.send(Told())
        assert await store.read_messages() == []


async def test_past_the_bound_the_doors_refuse_until_something_is_done() -> None:
    stage = Stage()
    commands = [Ask("a", number) for number in range(3)]
    stage.closes(commands[0])
    async with engine(asking_app(), provide={Stage: stage}, limits=Limits(unfinished=3)) as running:
        for command in commands:
            await running.send(command)
        with pytest.raises(Busy, match="3 accepted messages are unfinished") as busy:
            await running.send(Ask("b"))
        assert busy.value.retry_after > 0
        with pytest.raises(Busy):
            await running.publish(Told())
        stage.opens(commands[0])
        await running.settle()
        await running.send(Ask("b"))
        await running.settle()
    assert len(stage.began) == 4


async def test_what_is_parked_does_not_keep_the_doors_closed() -> None:
    stage = Stage()
    stage.will(Ask(), *[KeyError("a bug")] * 3)
    async with engine(asking_app(), provide={Stage: stage}, limits=Limits(unfinished=1)) as running:
        await running.send(Ask())
        await running.advance(seconds=10)
        await running.send(Ask("b"))
        await running.settle()


async def test_nothing_is_taken_once_the_engine_stops() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        pass
    for call in (running.send(Ask()), running.publish(Told()), running.send(Ask(), idempotency_key="k")):
        with pytest.raises(Stopping, match="being stopped"):
            await call
    assert running.ready() == "the engine is being stopped"


# ---------------------------------------------------------------------- expected versions


@dataclass(frozen=True)
class Sum:
    total: int = 0

    def decide(self, command: Ask) -> Told:
        return Told(command.key, command.number)

    def evolve(self, event: Told) -> Sum:
        return Sum(self.total + event.number)


async def test_a_repeated_request_is_known_again_although_its_version_is_old_now() -> None:
    app = App("t")
    app.aggregate(key="key")(Sum)
    async with engine(app) as running:
        first = await running.send(Ask(number=1), expected_version=0, idempotency_key="k")
        await running.settle()
        assert await running.send(Ask(number=1), expected_version=0, idempotency_key="k") == first._replace(
            repeated=True
        )
        with pytest.raises(KeyReused):
            await running.send(Ask(number=2), expected_version=0, idempotency_key="k")
        with pytest.raises(StaleVersion):
            await running.send(Ask(number=1), expected_version=0, idempotency_key="another")


async def test_only_an_aggregate_has_a_version() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        with pytest.raises(UnknownMessage, match="Ask is handled by no aggregate"):
            await running.send(Ask(), expected_version=0)
