"""A small service over HTTP: what the tests of its routes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from tests.each_store import new_url

from sagakit import App, Engine, Saga
from sagakit.server.api import api
from sagakit.server.serve import address_of, bind, serve


@dataclass(frozen=True)
class BookRoom:
    room_id: str


@dataclass(frozen=True)
class RoomBooked:
    room_id: str


@dataclass(frozen=True)
class RoomFull:
    room_id: str
    reason: str


@dataclass(frozen=True)
class CleanRoom:
    room_id: str


@dataclass(frozen=True)
class RoomCleaned:
    room_id: str


@dataclass(frozen=True)
class GuestLeft:
    room_id: str


def rooms() -> App:
    app = App("rooms")

    @app.handles
    async def book(command: BookRoom) -> RoomBooked | RoomFull:
        if command.room_id == "full":
            return RoomFull(command.room_id, "no bed is left")
        return RoomBooked(command.room_id)

    @app.handles
    async def clean(command: CleanRoom) -> RoomCleaned:
        return RoomCleaned(command.room_id)

    @app.saga(key="room_id", receives=GuestLeft)
    async def stay(booked: RoomBooked, saga: Saga) -> None:
        await saga.receive(GuestLeft)
        await saga.do(CleanRoom(booked.room_id), then=RoomCleaned)

    return app


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with rooms().engine(new_url()) as engine:
        yield engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://rooms") as client:
        yield client


@asynccontextmanager
async def served(engine: Engine) -> AsyncIterator[str]:
    """The API on a port: for what streams."""
    told = asyncio.Event()
    with bind(0) as bound:
        serving = asyncio.ensure_future(serve(engine, api(engine), bound, told))
        try:
            yield address_of(bound)
        finally:
            told.set()
            await serving
