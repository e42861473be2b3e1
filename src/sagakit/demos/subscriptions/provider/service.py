"""The provider's HTTP service: PUT makes, DELETE takes back, both once for each reference."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, delete, get, post, put
from litestar.params import FromPath

from sagakit.demos.subscriptions.provider.books import Books, RefusedHere
from sagakit.demos.subscriptions.provider.weather import Sky, Weather

LATENCY = 0.02
"""Seconds that every request takes at least."""


class Front:
    """Takes requests as the weather lets it."""

    def __init__(self, books: Books, sky: Sky, latency: float) -> None:
        self.books = books
        self._sky = sky
        self._latency = latency
        self.asked: list[str] = []
        """The kinds of all requests, in the order in which they came."""

    async def create(self, kind: str, reference: str, body: bytes) -> Response[Any]:
        """Have something made."""
        trouble = await self._meet("PUT", kind, reference)
        if trouble == "outage":
            return _problem(503, "the provider is down")
        try:
            if trouble == "refuse":
                raise RefusedHere(f"{kind} are not possible today")
            made = self.books.create(kind, reference, msgspec.json.decode(body))
        except RefusedHere as refused:
            return _problem(422, str(refused))
        return _problem(504, "the answer was lost") if trouble == "lost" else Response(made)

    async def cancel(self, kind: str, reference: str) -> Response[Any]:
        """Have it taken back: that is never refused."""
        if await self._meet("DELETE", kind, reference) in ("outage", "refuse"):
            return _problem(503, "the provider is down")
        self.books.cancel(kind, reference)
        return Response({})

    async def _meet(self, method: str, kind: str, reference: str) -> str | None:
        self.asked.append(kind)
        await asyncio.sleep(self._latency)
        weather = self._sky.over(method, kind, reference)
        if weather is not None and weather.trouble == "slow":
            await asyncio.sleep(weather.seconds)
            return None
        return None if weather is None else weather.trouble


def service(books: Books, sky: Sky, *, latency: float = LATENCY) -> Litestar:
    """The service on these books."""
    front = Front(books, sky, latency)

    @put("/{kind:str}/{reference:str}", status_code=200)
    async def create(request: Request[Any, Any, Any], kind: FromPath[str], reference: FromPath[str]) -> Response[Any]:
        return await front.create(kind, reference, await request.body())

    @delete("/{kind:str}/{reference:str}", status_code=200)
    async def cancel(kind: FromPath[str], reference: FromPath[str]) -> Response[Any]:
        return await front.cancel(kind, reference)

    @post("/weather", status_code=204)
    async def weather(request: Request[Any, Any, Any]) -> None:
        sky.set(msgspec.json.decode(await request.body(), type=list[Weather]))

    @get("/ledger")
    async def ledger() -> list[tuple[str, str, str]]:
        return books.ledger

    @get("/asked")
    async def asked() -> list[str]:
        return front.asked

    return Litestar([create, cancel, weather, ledger, asked], openapi_config=None, logging_config=None)


def _problem(status: int, why: str) -> Response[Any]:
    return Response({"error": why}, status_code=status)
