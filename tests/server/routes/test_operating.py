"""The operator's hands over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.each_store import ON_EACH_STORE
from tests.engine.operating.shop import Charge, Note, Release, Reserve, World, order_id, shop

from sagakit.server.api import api
from sagakit.testing.manual import ManualEngine
from sagakit.testing.manual import engine as manual

pytestmark = ON_EACH_STORE

WHY = {"by": "ada", "reason": "by hand"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def engine(world: World) -> AsyncIterator[ManualEngine]:
    async with manual(shop(), provide={World: world}) as engine:
        yield engine


@pytest.fixture
async def client(engine: ManualEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://t/api/v1") as client:
        yield client


async def place(engine: ManualEngine) -> str:
    from tests.engine.operating.shop import Placed

    await engine.publish(Placed())
    await engine.settle()
    return order_id()


async def test_an_order_that_stands_still_is_explained_and_set_going(
    engine: ManualEngine, client: httpx.AsyncClient, world: World
) -> None:
    world.down = {Reserve}
    id = await place(engine)
    found = (await client.get(f"/processes/{id}/explain")).json()
    assert (found["situation"], found["status"], found["engine"]) == ("retrying", "running", True)
    assert found["mend"][0] == f'sagakit processes retry {id} --reason "..."'
    assert found["waits_for"][0]["last_error"] == "ConnectionError: Reserve is down"
    assert found["since"] == "2026-01-01T00:00:00.000000Z"
    world.down.clear()
    answer = await client.post(f"/processes/{id}/actions/retry", json=WHY)
    assert answer.status_code == 200
    assert answer.json()["action"] == "retry"
    await engine.settle()
    assert world.calls[Charge] == 1


async def test_actions_say_what_is_wrong_with_them(engine: ManualEngine, client: httpx.AsyncClient) -> None:
    id = await place(engine)

    async def refused(path: str, body: Any = WHY, **headers: str) -> tuple[int, str]:
        answer = await client.post(path, json=body, headers=headers)
        return answer.status_code, answer.text

    assert (await refused("/processes/x/actions/cancel"))[0] == 404
    assert (await refused(f"/processes/{id}/actions/explode"))[0] == 400
    status, text = await refused(f"/processes/{id}/actions/cancel", {})
    assert status == 400
    assert "reason" in text
    assert (await refused(f"/processes/{id}/actions/cancel", WHY | {"why": "x"}))[0] == 400
    status, text = await refused(f"/processes/{id}/actions/resume-compensation")
    assert status == 409
    assert "the instance is running" in text
    assert (await refused(f"/processes/{id}/actions/cancel", **{"If-Match": '"1"'}))[0] == 412
    plain = await client.post(f"/processes/{id}/actions/cancel", content="{}", headers={"Content-Type": "text/plain"})
    assert plain.status_code == 400
    assert (await refused(f"/processes/{id}/actions/cancel", **{"If-Match": '"3"'}))[0] == 200


async def test_a_result_by_hand(engine: ManualEngine, client: httpx.AsyncClient, world: World) -> None:
    world.down = {Reserve}
    id = await place(engine)
    body = WHY | {"message": "t.Reserved", "payload": {"key": "a"}}
    assert (await client.post(f"/processes/{id}/actions/give-result", json=body)).status_code == 200
    await engine.settle()
    assert world.calls[Charge] == 1


async def test_deliveries_are_listed_shown_retried_edited_and_dropped(
    engine: ManualEngine, client: httpx.AsyncClient, world: World
) -> None:
    world.down = {Note}
    for key in "abcd":
        await engine.send(Note(key))
    await engine.advance(seconds=30)
    page = (await client.get("/deliveries", params={"state": "parked", "limit": 3})).json()
    assert [one["message"] for one in page["items"]] == ["t.Note"] * 3
    rest = (await client.get("/deliveries", params={"state": "parked", "next": page["next"]})).json()
    assert (len(rest["items"]), rest["next"]) == (1, None)
    first, second, *_ = [one["delivery"] for one in page["items"]]
    shown = (await client.get(f"/deliveries/{first}")).json()
    assert shown["payload"] == {"key": "a", "text": "hello"}
    assert (shown["explanation"]["situation"], shown["attempt"]) == ("parked_command", 2)
    world.down.clear()
    act = f"/deliveries/{first}/actions"
    assert (await client.post(f"{act}/edit", json=WHY | {"payload": {"text": "x"}})).status_code == 409
    edit = WHY | {"payload": {"key": "a", "text": "x"}, "keep_key": True}
    assert (await client.post(f"{act}/edit", json=edit)).status_code == 200
    assert (await client.post(f"/deliveries/{second}/actions/drop", json=WHY)).status_code == 200
    retried = await client.post("/deliveries/actions/retry", json=WHY | {"type": "t.Note", "error": "is down"})
    assert retried.json() == {"retried": 2, "failed": {}}
    await engine.settle()
    assert (await client.get("/deliveries")).json() == {"items": [], "next": None}
    assert sorted(world.notes) == ["hello", "hello", "x"]
    assert (await client.get("/deliveries/99")).status_code == 404
    assert (await client.post("/deliveries/actions/retry", json=WHY | {"state": "ready"})).status_code == 400


async def test_pauses(engine: ManualEngine, client: httpx.AsyncClient) -> None:
    thing = WHY | {"scope": "process", "name": "t.order"}
    assert (await client.post("/pauses", json=thing)).status_code == 200
    (pause,) = (await client.get("/pauses")).json()["items"]
    assert pause == {
        "scope": "process",
        "name": "t.order",
        "by": "ada",
        "reason": "by hand",
        "since": "2026-01-01T00:00:00.000000Z",
    }
    assert (await client.post("/pauses", json=thing | {"name": "x"})).status_code == 404
    assert (await client.post("/pauses", json=thing | {"scope": "x"})).status_code == 400
    assert (await client.post("/pauses/resume", json=thing)).status_code == 200
    assert (await client.post("/pauses/resume", json=thing)).status_code == 409


async def test_what_does_not_move_is_listed(engine: ManualEngine, client: httpx.AsyncClient, world: World) -> None:
    world.down = {Release}
    id = await place(engine)
    assert (await client.get("/stuck")).json()["items"] == []
    await engine.advance(hours=2)
    (stuck,) = (await client.get("/stuck")).json()["items"]
    assert (stuck["id"], stuck["why"]) == (id, "has not moved for 7200 s")
    assert stuck["waiting_for"] == ["t.Shipped"]
    await client.post(f"/processes/{id}/actions/cancel", json=WHY)
    await engine.advance(seconds=60)
    (stuck,) = (await client.get("/stuck")).json()["items"]
    assert stuck["why"] == "compensation_failed: ConnectionError: Release is down"
