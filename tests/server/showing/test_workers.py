"""Workers as they are shown."""

from __future__ import annotations

from sagakit.core.cluster.members import Lease, Worker
from sagakit.server.showing.workers import views_of


def test_what_is_shown_of_a_worker() -> None:
    times = {"joined_at": 1_000_000, "renewed_at": 10_000_000, "expires_at": 20_000_000, "lasts": 10_000_000}
    worker = Worker("id", "name", "host", 7, "app", "sagakit 1", "http://x", ("a#1", "b#1"), **times)
    leases = [
        Lease("a", 1, "id", False),
        Lease("b", 1, "id", False),
        Lease("a", 2, "id", False),
        Lease("b", 2, None, True),
    ]
    for now, state in ((11_000_000, "alive"), (16_000_000, "late"), (20_000_000, "expired")):
        (view,) = views_of([worker], leases, now)
        assert (view.partitions, view.state) == (2, state)
