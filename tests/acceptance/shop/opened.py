"""The shop in processes of its own, as a newcomer starts it: in one, or in four."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from tests.acceptance.shop.audit import Databases

SETTLED = ("CONFIRMED", "CANCELLED")


class Shop:
    """What takes orders, and what it said before it took any."""

    def __init__(self, process: subprocess.Popen[str], databases: Databases) -> None:
        self.process = process
        self.databases = databases
        assert process.stdout
        self.greeting: list[str] = []
        while not self.greeting or "processes history" not in self.greeting[-1]:
            line = process.stdout.readline()
            assert line, "".join(self.greeting)
            self.greeting.append(line.strip())
        self.address = self.greeting[0].partition(" at ")[2]

    def curl(self, number: int) -> list[str]:
        """The words of one of the curl lines that it offers."""
        return shlex.split([line for line in self.greeting if line.startswith("curl")][number])

    def look(self, *words: str) -> Any:
        """What the command line says of its sagas."""
        command = [sys.executable, "-m", "sagakit", *words, "--db", self.databases.sagas, "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def end(self) -> tuple[int, str]:
        """Stop it in order; its exit code, and the account that it gave."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout
        said = self.process.stdout.read()
        return self.process.wait(), said


Opened = Callable[..., AbstractContextManager[Shop]]


@contextmanager
def sagakit(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "sagakit", *words]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def in_one_process(folder: Path, *options: str) -> Iterator[Shop]:
    """`sagakit demo`."""
    database = folder / "shop.db"
    with sagakit(folder, "demo", "--port", "0", "--db", str(database), *options) as process:
        yield Shop(process, Databases.of_one(str(database)))


@contextmanager
def in_four_processes(folder: Path, *options: str) -> Iterator[Shop]:
    """`sagakit demo shop --service NAME`, for each of them; over topics with `--kafka URL`."""
    databases = Databases.of_services(folder)
    with ExitStack() as stack:
        processes = {
            service: stack.enter_context(sagakit(folder, *service_words(service, 0, databases.of(service)), *options))
            for service in ("order", "inventory", "payment")
        }
        at: list[str] = []
        for service, process in processes.items():
            assert process.stdout
            at += ["--at", f"{service}={process.stdout.readline().split()[-1]}"]
        words = service_words("gateway", 0, databases.of("gateway"))
        reached = () if "--kafka" in options else at
        yield Shop(stack.enter_context(sagakit(folder, *words, *reached, *options)), databases)


def service_words(service: str, port: int, database: str) -> tuple[str, ...]:
    return ("demo", "shop", "--service", service, "--port", str(port), "--db", database)


def typed(words: list[str], **other: str) -> httpx.Response:
    """A curl line, as curl would send it; `data` replaces its body."""
    url = next(word for word in words if word.startswith("http"))
    if "-d" not in words:
        return httpx.get(url, timeout=60)
    headers = dict(value.split(": ") for option, value in pairwise(words) if option == "-H")
    return httpx.post(url, content=other.get("data", words[words.index("-d") + 1]), headers=headers, timeout=60)


def settled(words: list[str]) -> Any:
    url = next(word for word in words if word.startswith("http"))
    while (order := httpx.get(url, headers={"Prefer": "wait=20"}, timeout=60).json())["status"] not in SETTLED:
        pass
    return order
