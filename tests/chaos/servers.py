"""What is done to the servers: each call returns when they are whole again, or will be by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tests.servers.kafka import Broker
from tests.servers.postgres import Server
from tests.servers.valkey import ValkeyProcess

AWAY = 1.5
"""Seconds that a server is away."""


def disturbances(postgres: Server, valkey: ValkeyProcess, kafka: Broker) -> Sequence[Callable[[], None]]:
    """Each as a call that its name describes."""

    def postgres_restart() -> None:
        postgres.restart("immediate")

    def valkey_pause() -> None:
        valkey.pause()
        time.sleep(AWAY)
        valkey.go_on()

    def valkey_kill() -> None:
        valkey.kill()
        time.sleep(AWAY)
        valkey.start()

    def valkey_flush() -> None:
        valkey.say("FLUSHALL")

    def kafka_pause() -> None:
        kafka.pause()
        time.sleep(AWAY)
        kafka.resume()

    def kafka_kill() -> None:
        kafka.kill()
        time.sleep(AWAY)
        kafka.start()

    return (postgres_restart, valkey_pause, valkey_kill, valkey_flush, kafka_pause, kafka_kill)
