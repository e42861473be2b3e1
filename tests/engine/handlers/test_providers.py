"""Providers: opened with the engine, each after what it asks for, closed in reverse, replaced by tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from tests.each_store import ON_EACH_STORE, new_store
from tests.engine.stage import Ask, Told

from sagakit import App
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE


@dataclass
class Settings:
    url: str = "url"


@dataclass
class Client:
    settings: Settings


@dataclass
class Cards:
    client: Client


def app_with(log: list[str], *, fails: bool = False) -> App:
    app = App("t")

    @app.provides
    async def cards(client: Client) -> AsyncIterator[Cards]:
        log.append("cards opened")
        if fails:
            raise ConnectionError("no cards")
        yield Cards(client)
        log.append("cards closed")

    @app.provides
    def client(settings: Settings) -> Iterator[Client]:
        log.append("client opened")
        yield Client(settings)
        log.append("client closed")

    @app.provides
    def settings() -> Settings:
        log.append("settings made")
        return Settings()

    @app.handles
    async def ask(command: Ask, cards: Cards) -> Told:
        log.append(f"asked {cards.client.settings.url}")
        return Told(command.key)

    return app


async def test_each_is_opened_after_what_it_asks_for_and_closed_before() -> None:
    log: list[str] = []
    async with engine(app_with(log)) as running:
        assert log == ["settings made", "client opened", "cards opened"]
        await running.send(Ask())
        await running.settle()
    assert log[3:] == ["asked url", "cards closed", "client closed"]


async def test_what_the_caller_provides_goes_first() -> None:
    log: list[str] = []
    async with engine(app_with(log), provide={Settings: Settings("test")}) as running:
        await running.send(Ask())
        await running.settle()
    assert log == ["client opened", "cards opened", "asked test", "cards closed", "client closed"]


async def test_what_a_replaced_one_asked_for_is_open_all_the_same() -> None:
    log: list[str] = []
    async with engine(app_with(log), provide={Cards: Cards(Client(Settings("fake")))}) as running:
        await running.send(Ask())
        await running.settle()
    assert log == ["settings made", "client opened", "asked fake", "client closed"]


async def test_an_async_function_provides_what_it_returns() -> None:
    app, asked = App("t"), list[str]()

    @app.provides
    async def settings() -> Settings:
        return Settings("awaited")

    @app.handles
    async def ask(command: Ask, settings: Settings) -> Told:
        asked.append(settings.url)
        return Told(command.key)

    async with engine(app) as running:
        await running.send(Ask())
        await running.settle()
    assert asked == ["awaited"]


async def test_one_that_fails_keeps_the_engine_from_starting_and_closes_the_others() -> None:
    log: list[str] = []
    store = new_store()
    with pytest.raises(ConnectionError, match="no cards"):
        async with engine(app_with(log, fails=True), store=store):
            pass
    assert log[-1] == "client closed"
    assert await store.again().open(own=False)  # and the store was closed cleanly


async def test_one_that_fails_to_close_does_not_keep_the_store_open() -> None:
    app, store = App("t"), new_store()

    @app.provides
    async def settings() -> AsyncIterator[Settings]:
        yield Settings()
        raise ConnectionError("cannot close")

    @app.handles
    async def ask(command: Ask, settings: Settings) -> Told:
        return Told(command.key)

    with pytest.raises(ConnectionError, match="cannot close"):
        async with engine(app, store=store):
            pass
    assert await store.again().open(own=False)
