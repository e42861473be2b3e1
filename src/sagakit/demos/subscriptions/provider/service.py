"""The provider's HTTP service: PUT makes, DELETE takes back, both once for each reference."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, delete, get, post, put

from sagakit.demos.subscriptions.provider.books import Books, RefusedHere
from sagakit.demos.subscriptions.provider.weather import Sky, Weather

LATENCY = 0.02
"""Seconds that every request takes at least."""


def service(books: Books, sky: Sky, *, latency: float = LATENCY) -> Litestar:
    """The service on these books."""

    async def meet(method: str, kind: str, reference: str) -> str | None:
        await asyncio.sleep(latency)
        weather = sky.over(method, kind, reference)
        if weather is not None and weather.trouble == "slow":
            await asyncio.sleep(weather.seconds)
            return None
        return None if weather is None else weather.trouble

    @put("/{kind:str}/{reference:str}", status_code=200)
    async def create(request: Request[Any, Any, Any]) -> Response[Any]:
        kind, reference = str(request.path_params["kind"]), str(request.path_params["reference"])
        trouble = await meet("PUT", kind, reference)
        if trouble == "outage":
            return Response({"error": "the provider is down"}, status_code=503)
        try:
            if trouble == "refuse":
                raise RefusedHere(f"{kind} are not possible today")
            made = books.create(kind, reference, msgspec.json.decode(await request.body()))
        except RefusedHere as refused:
            return Response({"error": str(refused)}, status_code=422)
        if trouble == "lost":
            return Response({"error": "the answer was lost"}, status_code=504)
        return Response(made)

    @delete("/{kind:str}/{reference:str}", status_code=200)
    async def cancel(request: Request[Any, Any, Any]) -> Response[Any]:
        kind, reference = str(request.path_params["kind"]), str(request.path_params["reference"])
        trouble = await meet("DELETE", kind, reference)
        if trouble in ("outage", "refuse"):
            return Response({"error": "the provider is down"}, status_code=503)
        books.cancel(kind, reference)
        return Response({})

    @post("/weather", status_code=204)
    async def weather(request: Request[Any, Any, Any]) -> None:
        sky.set(msgspec.json.decode(await request.body(), type=list[Weather]))

    @get("/ledger")
    async def ledger() -> list[tuple[str, str, str]]:
        return books.ledger

    return Litestar([create, cancel, weather, ledger], openapi_config=None, logging_config=None)
