"""What a worker says of those that come and go."""

from __future__ import annotations

import socket

from structlog.testing import capture_logs
from tests.engine.stage import Stage, asking_app
from tests.engine.workers.crew import crew


async def test_one_that_is_gone_is_named_with_its_machine() -> None:
    async with crew(asking_app(), "a", "b", provide={Stage: Stage()}) as made:
        with capture_logs() as logs:
            await made.crash("b")
        (said,) = [one for one in logs if one["event"].startswith("a worker is gone")]
        assert (said["worker"], said["host"], said["id"]) == ("b", socket.gethostname(), made.gone["b"])


async def test_one_that_nobody_has_seen_is_named_by_its_id() -> None:
    async with crew(asking_app(), "a", provide={Stage: Stage()}) as made:
        team = made.engines["a"].team
        assert team is not None
        with capture_logs() as logs:
            team.membership.saw(team.membership.members, ["stranger"])
        (said,) = [one for one in logs if one["event"].startswith("a worker is gone")]
        assert (said["worker"], said["host"], said["id"]) == ("stranger", "", "stranger")
