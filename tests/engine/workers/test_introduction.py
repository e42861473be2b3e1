"""What a worker says of itself."""

from __future__ import annotations

import os
import socket

from sagakit.core.cluster.members import Worker
from sagakit.engine.workers.owning.introduction import introduce


def test_a_worker_says_where_it_runs_and_what() -> None:
    me = Worker("w")
    introduce(me, "shop")
    assert (me.host, me.pid, me.app) == (socket.gethostname(), os.getpid(), "shop")
    assert me.versions.startswith("sagakit")


def test_what_was_said_of_it_stands() -> None:
    me = Worker("w", host="box", pid=7, versions="shop 2")
    introduce(me, "shop")
    assert (me.host, me.pid, me.versions) == ("box", 7, "shop 2")
