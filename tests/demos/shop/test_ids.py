"""Ids of orders at the doors that read commands as they are: over HTTP, and over topics."""

from __future__ import annotations

import httpx
import pytest

from sagakit import Engine, InvalidMessage
from sagakit.demos.shop.gateway import shop_server
from sagakit.demos.shop.kafka.modules import TOPICS

COMMANDS = [command for topics in TOPICS.values() for command in topics.commands]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("id", ["", "o" * 256, "o\0"], ids=["none", "long", "nul"])
def test_no_command_of_a_topic_has_an_id_that_a_store_cannot_hold(engine: Engine, command: type, id: str) -> None:
    codec = engine.topology.codecs.by_class[command]
    with pytest.raises(InvalidMessage, match="order_id"):
        codec.decode(b'{"order_id": "%s"}' % id.replace("\0", r"\u0000").encode())


async def test_a_command_over_http_with_such_an_id_is_refused_by_name(engine: Engine) -> None:
    transport = httpx.ASGITransport(shop_server(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        refused = await client.post("/api/v1/commands/payments.RefundPayment", json={"order_id": "o\0"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_message")
    assert "order_id" in refused.json()["detail"]
    assert await engine.store.read_messages() == []
