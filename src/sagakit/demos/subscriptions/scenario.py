"""A few orders, one after the other: one that goes well, and one for each kind of trouble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
from msgspec import Struct

from sagakit import Engine
from sagakit.demos.subscriptions.account import Account
from sagakit.demos.subscriptions.provider.books import DECLINED
from sagakit.demos.subscriptions.subscribe import subscribe

PATIENCE = 60


class Purchase(Struct, frozen=True):
    """What somebody buys, and how the provider is meanwhile."""

    title: str
    asked: dict[str, Any]
    weather: Sequence[dict[str, Any]] = ()


ANN = {"email": "ann@example.org", "plan": "pro", "persons": 3}
PURCHASES: Sequence[Purchase] = (
    Purchase("all goes well", ANN),
    Purchase("a bad address: refused at step 1", ANN | {"email": "ann"}),
    Purchase("the card is declined at step 4", ANN | {"card": DECLINED}),
    Purchase("too many persons at step 5", ANN | {"persons": 51}),
    Purchase("a short outage at step 2", ANN, ({"trouble": "outage", "kind": "plans", "times": 2},)),
    Purchase("the answer of step 3 is lost for good", ANN, ({"trouble": "lost", "kind": "sessions"},)),
)


async def play(engine: Engine, account: Account, *, address: str, provider: str) -> None:
    """Buy all of these, as a client of the controller does."""
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        for purchase in PURCHASES:
            await http.post(f"{provider}/weather", json=list(purchase.weather))
            account.tell("begin", "", purchase.title)
            answer = (await http.post(f"{address}/plan/purchase", json=purchase.asked)).json()
            order_id = str(answer["order_id"])
            told = f"session {answer['session_id']}" if "session_id" in answer else answer["message"]
            account.tell("note", order_id, "the client has its answer", told)
            end = await engine.wait(subscribe, order_id, timeout=PATIENCE)
            if end.status == "completed":
                account.tell("done", order_id, "order carried out")
        account.tell("note", "", "that was it", "the service stays open")
