"""The engine that owns a database, over the HTTP door that it has announced there."""

from __future__ import annotations

import asyncio
import getpass
from typing import TYPE_CHECKING, Any

import msgspec

from sagakit.cli.database import find, reading
from sagakit.cli.failures import Failure
from sagakit.core.queries import OwnerSeen

if TYPE_CHECKING:
    import httpx

PATIENCE = 60.0
"""Seconds until an answer is not waited for any longer."""


def post(db: str, path: str, body: dict[str, Any], *, key: str | None = None) -> bytes:
    """Ask the owner to do something; its answer. `key`: an id or key of an instance, for `{id}` in the path."""
    return asyncio.run(_ask(db, path, body, key))


def who() -> str:
    """The user of this machine, where nobody else is named."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return "sagakit"


async def fetch(url: str, path: str) -> bytes | None:
    """What the owner answers to a question. None if it cannot be reached."""
    import httpx

    try:
        async with _client(url) as client:
            answer = await client.get(path)
    except httpx.TransportError:
        return None
    return _read(answer)


def url_of(owner: OwnerSeen | None, db: str) -> str:
    """Where the owner's HTTP door is. Failure says how to come by one."""
    from sagakit.app.stores import place_of

    db = place_of(db)
    if owner is None:
        raise Failure(f"no engine runs on {db}: start the app (sagakit run MODULE:APP --db {db}), then say this again")
    if owner.url is None:
        raise Failure(
            f"the engine on {db} (process {owner.pid}) has no HTTP door: run it with sagakit run, "
            "or use engine.operator in its own process"
        )
    return owner.url


async def _ask(db: str, path: str, body: dict[str, Any], key: str | None) -> bytes:
    import httpx

    async with reading(db) as store:
        url = url_of(await store.read_owner(), db or "the demo's database")
        id = "" if key is None else (await find(store, key)).row.id
    try:
        async with _client(url) as client:
            as_json = {"Content-Type": "application/json"}
            answer = await client.post(path.format(id=id), content=msgspec.json.encode(body), headers=as_json)
    except httpx.TransportError as error:
        raise Failure(f"the engine at {url} does not answer ({type(error).__name__})") from error
    return _read(answer)


def _client(url: str) -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False)


def _read(answer: httpx.Response) -> bytes:
    if answer.is_success:
        return answer.content
    try:
        problem = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        problem = {}
    raise Failure(str(problem.get("detail") or problem.get("message") or f"the engine answers {answer.status_code}"))
