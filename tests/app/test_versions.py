from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.each_store import ON_EACH_STORE, AnyStore, new_store

from sagakit import App, Saga
from sagakit.app.versions import Trouble, Verification, VersionInUse, versions_in_use
from sagakit.core.queries import InstanceQuery
from sagakit.core.streams import instance_id
from sagakit.testing import engine
from sagakit.testing.manual import START

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begin:
    id: str


@dataclass(frozen=True)
class Ask:
    id: str


@dataclass(frozen=True)
class Asked:
    id: str


@dataclass(frozen=True)
class Tell:
    id: str


@dataclass(frozen=True)
class Told:
    id: str


@dataclass(frozen=True)
class Done:
    id: str


@dataclass(frozen=True)
class Odd:
    id: str


BEGAN = int(START.timestamp() * 1_000_000)


def office() -> App:
    app = App("office")

    @app.handles
    async def ask(command: Ask) -> Asked:
        return Asked(command.id)

    @app.handles
    async def tell(command: Tell) -> Told:
        return Told(command.id)

    return app


def asking(app: App, *, version: int = 1) -> None:
    """Ask, then wait for somebody to say that it is done."""

    @app.saga(key="id", receives=Done, version=version, name="process")
    async def process(begin: Begin, saga: Saga) -> None:
        await saga.do(Ask(begin.id), then=Asked)
        await saga.receive(Done)


def telling(app: App, *, version: int = 1) -> None:
    """The same, written otherwise: it tells first."""

    @app.saga(key="id", receives=Done, version=version, name="process")
    async def process(begin: Begin, saga: Saga) -> None:
        await saga.do(Tell(begin.id), then=Told)
        await saga.do(Ask(begin.id), then=Asked)
        await saga.receive(Done)


async def ran(app: App, store: AnyStore, *keys: str) -> None:
    async with engine(app, store=store) as running:
        for key in keys:
            await running.publish(Begin(key))
        await running.settle()


async def found(app: App, store: AnyStore) -> tuple[int, list[Trouble]]:
    reader = store.again()
    await reader.open(own=False)
    verification = Verification(app.topology(), reader)
    troubles = [trouble async for trouble in verification.troubles()]
    return verification.instances, troubles


async def used(app: App, store: AnyStore) -> Sequence[VersionInUse]:
    reader = store.again()
    await reader.open(own=False)
    return await versions_in_use(app.topology(), reader)


async def test_the_same_code_goes_on_with_everything() -> None:
    store, app = new_store(), office()
    asking(app)
    await ran(app, store, "a", "b")
    assert await found(app, store) == (2, [])


async def test_code_that_contradicts_the_record_is_named_step_by_step() -> None:
    store, app, changed = new_store(), office(), office()
    asking(app)
    telling(changed)
    await ran(app, store, "a")
    instances, (trouble,) = await found(changed, store)
    assert instances == 1
    assert (trouble.id, trouble.subject) == (instance_id("office.process", "a"), "office.process")
    assert (trouble.key, trouble.version) == ("a", 1)
    assert "office.Ask is recorded, the code now sends office.Tell" in trouble.why


async def held(store: AnyStore) -> tuple[object, ...]:
    reader = store.again()
    await reader.open(own=False)
    found = await reader.read_messages(), await reader.read_instances(InstanceQuery()), await reader.read_deliveries()
    await reader.close()
    return found


async def test_verifying_writes_nothing() -> None:
    store, app, changed = new_store(), office(), office()
    asking(app)
    telling(changed)
    await ran(app, store, "a")
    before = await held(store)
    await found(changed, store)
    assert await held(store) == before


async def test_a_version_side_by_side_is_no_trouble() -> None:
    store, app, both = new_store(), office(), office()
    asking(app)
    asking(both)
    telling(both, version=2)
    await ran(app, store, "a")
    assert await found(both, store) == (1, [])
    await ran(both, store, "b")
    assert await found(both, store) == (2, [])
    assert await used(both, store) == [
        VersionInUse("office.process", 1, True, False, 1, instance_id("office.process", "a"), BEGAN),
        VersionInUse("office.process", 2, True, True, 1, instance_id("office.process", "b"), BEGAN),
    ]


async def test_a_version_that_is_gone_while_something_runs_on_it() -> None:
    store, app, newer = new_store(), office(), office()
    asking(app)
    telling(newer, version=2)
    await ran(app, store, "a")
    _, (trouble,) = await found(newer, store)
    assert "version 1 is no longer declared" in trouble.why
    assert [(one.version, one.declared, one.live) for one in await used(newer, store)] == [(1, False, 1), (2, True, 0)]


async def test_an_old_version_can_go_when_nothing_runs_on_it_any_more() -> None:
    store, both = new_store(), office()
    asking(both)
    telling(both, version=2)
    await ran(both, store, "a")
    assert [one.can_go for one in await used(both, store)] == [True, False]
    old, store = office(), new_store()
    asking(old)
    await ran(old, store, "a")
    assert [one.can_go for one in await used(both, store)] == [False, False]
    async with engine(both, store=store) as running:
        await running.publish(Done("a"))
        await running.settle()
    assert [one.can_go for one in await used(both, store)] == [True, False]


async def test_a_process_that_the_app_has_no_more() -> None:
    store, app = new_store(), office()
    asking(app)
    await ran(app, store, "a")
    _, (trouble,) = await found(office(), store)
    assert trouble.why == "this app has no process office.process"


async def test_an_outstanding_message_that_nobody_takes() -> None:
    store, app, without = new_store(), office(), App("office")
    asking(app)

    @without.handles
    async def tell(command: Tell) -> Told:
        return Told(command.id)

    @app.handles
    async def rest(command: Odd) -> Told:
        raise ValueError(command.id)

    async with engine(app, store=store) as running:
        await running.send(Odd("x"))
        await running.settle()
    instances, (trouble,) = await found(without, store)
    assert instances == 0
    assert (trouble.subject, trouble.why) == ("office.Odd", "no class of this app is office.Odd")


async def test_a_process_manager_whose_state_does_not_fit_any_more() -> None:
    store, app, changed = new_store(), office(), office()

    @app.process_manager(key="id", starts_with=Begin, name="Asking")
    @dataclass(frozen=True)
    class Asking:
        asked: int = 1

        def react(self, event: Begin) -> Ask:
            return Ask(event.id)

    @changed.process_manager(key="id", starts_with=Begin, name="Asking")
    @dataclass(frozen=True)
    class Changed:
        asked: bool = False

        def react(self, event: Begin) -> Ask:
            return Ask(event.id)

    await ran(app, store, "a")
    assert await found(app, store) == (1, [])
    _, (trouble,) = await found(changed, store)
    assert "the stored state does not fit its class" in trouble.why
