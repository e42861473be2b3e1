"""The provider as a process of its own."""

from __future__ import annotations

import httpx

from sagakit.demos.subscriptions.provider.process import running_provider


async def test_it_is_asked_by_a_name_of_this_machine_alone() -> None:
    async with running_provider() as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        foreign = await client.post("/", headers={"Host": "evil.example"})
        assert (foreign.status_code, foreign.json()["error"]) == (421, "foreign_host")
        assert (await client.post("/")).status_code != 421
