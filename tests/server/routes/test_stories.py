"""Stories over HTTP."""

from __future__ import annotations

import httpx
from tests.each_store import ON_EACH_STORE
from tests.server.conftest import BookRoom, GuestLeft, RoomBooked

from sagakit import Engine

pytestmark = ON_EACH_STORE


async def test_a_story_is_a_tree(client: httpx.AsyncClient, engine: Engine) -> None:
    receipt = await engine.send(BookRoom("a"))
    answer = await client.get(f"/api/v1/stories/{receipt.correlation_id}")
    assert answer.status_code == 200
    story = answer.json()
    assert (story["correlation_id"], story["next"]) == (receipt.correlation_id, None)
    (root,) = story["roots"]
    assert (root["message"], root["payload"]) == ("rooms.BookRoom", {"room_id": "a"})


async def test_what_a_message_led_to_stands_under_it(client: httpx.AsyncClient, engine: Engine) -> None:
    await engine.send_and_wait(BookRoom("a"), until=RoomBooked)
    left = await engine.publish(GuestLeft("a"))
    await engine.wait("rooms.stay", "a")
    (root,) = (await client.get(f"/api/v1/stories/{left.correlation_id}")).json()["roots"]
    (clean,) = root["led_to"]
    assert [one["message"] for one in clean["led_to"]] == ["rooms.RoomCleaned"]


async def test_a_story_comes_in_pages(client: httpx.AsyncClient, engine: Engine) -> None:
    await engine.send_and_wait(BookRoom("a"), until=RoomBooked)
    left = await engine.publish(GuestLeft("a"))
    await engine.wait("rooms.stay", "a")
    place = f"/api/v1/stories/{left.correlation_id}"
    first = (await client.get(place, params={"limit": 2})).json()
    second = (await client.get(place, params={"limit": 2, "next": first["next"]})).json()
    assert (first["messages"], second["messages"], second["next"]) == (2, 1, None)
    assert [root["message"] for root in second["roots"]] == ["rooms.RoomCleaned"]


async def test_a_story_is_watched(client: httpx.AsyncClient, engine: Engine) -> None:
    await engine.send_and_wait(BookRoom("a"), until=RoomBooked)
    left = await engine.publish(GuestLeft("a"))
    await engine.wait("rooms.stay", "a")
    answer = await client.get(f"/api/v1/stories/{left.correlation_id}/watch", params={"after": "0"})
    assert answer.status_code == 200
    assert "rooms.CleanRoom" in answer.text


async def test_there_is_no_such_story(client: httpx.AsyncClient) -> None:
    for place in ("/api/v1/stories/x", "/api/v1/stories/x/watch"):
        answer = await client.get(place)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
