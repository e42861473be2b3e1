"""Several workers on one database: the same sagas by one process, and by several at the same time, by turns.

Several do it twice: with keys from anywhere, so that most sagas begin at another worker than the one that was asked,
and with keys that each makes for itself (`engine.new_key`).

python -m sagakit.bench.apart.crew postgresql://... [WORKERS [SAGAS [IN_FLIGHT]]]
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from statistics import median
from typing import NamedTuple

import msgspec
from msgspec import Struct

from sagakit.bench.grounds import ground
from sagakit.bench.load import run_many
from sagakit.bench.orders import bench
from sagakit.bench.sizes import BenchFailed
from sagakit.telemetry.logs import log_to_stderr

IN_FLIGHT = 200
"""Sagas at the same time, over all workers: as many for each of two as the bench has for one."""
WARM_UP = 500
"""Sagas of each worker before."""
ROUNDS = 7


class Round(NamedTuple):
    """What a round took; the processor time is of the workers, and so of whoever sends, not of the server."""

    sagas_per_s: float
    cpu_ms_per_saga: float


class Crew(Struct, frozen=True):
    """What a crew does, and what one worker does alone: medians."""

    workers: int
    in_flight: int
    """Sagas at the same time, of the one as of all of the crew."""
    alone_sagas_per_s: float
    together_sagas_per_s: float
    at_home_sagas_per_s: float
    alone_cpu_ms_per_saga: float
    together_cpu_ms_per_saga: float
    at_home_cpu_ms_per_saga: float
    ratio: float
    """Together to alone, of rounds one after the other: the machine's moods meet both."""
    at_home_ratio: float
    """The same with keys that each worker makes for itself."""


async def measure(alone: str, together: str, workers: int, sagas: int, in_flight: int) -> Crew:
    """One worker on one new store, and several on another: each of a crew sends its share."""
    members: list[Process] = []
    try:
        one = [await _hire(alone)]
        members += one
        several = [await _hire(together) for _ in range(workers)]
        members += several
        for crew in (one, several):
            await _work(crew, WARM_UP * len(crew), in_flight)
        rounds = [await _take_turns(number, one, several, sagas, in_flight) for number in range(ROUNDS)]
    finally:
        await asyncio.gather(*(_dismiss(member) for member in members))
    one_alone, several_together, at_home = (tuple(each) for each in zip(*rounds, strict=True))
    return Crew(
        workers,
        in_flight,
        *(round(median(one.sagas_per_s for one in kind), 1) for kind in (one_alone, several_together, at_home)),
        *(round(median(one.cpu_ms_per_saga for one in kind), 3) for kind in (one_alone, several_together, at_home)),
        *(_ratio(kind, one_alone) for kind in (several_together, at_home)),
    )


def _ratio(several: Sequence[Round], one: Sequence[Round]) -> float:
    return round(median(two.sagas_per_s / first.sagas_per_s for two, first in zip(several, one, strict=True)), 3)


async def _take_turns(
    number: int, one: Sequence[Process], several: Sequence[Process], sagas: int, in_flight: int
) -> tuple[Round, Round, Round]:
    """A round of one worker, of several, and of several with keys of their own; the next time the other way round."""
    turns = [(one, False), (several, False), (several, True)]
    found = dict[int, Round]()
    for place in (0, 1, 2) if number % 2 else (2, 1, 0):
        crew, at_home = turns[place]
        found[place] = await _work(crew, sagas, in_flight, at_home=at_home)
    return found[0], found[1], found[2]


async def _hire(url: str) -> Process:
    """A worker that has joined, and has got its share."""
    member = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sagakit.bench.apart.crew", "--member", url, stdin=PIPE, stdout=PIPE
    )
    await _said(member)
    return member


async def _dismiss(member: Process) -> None:
    assert member.stdin
    member.stdin.close()
    with suppress(TimeoutError):
        await asyncio.wait_for(member.wait(), 15)
    if member.returncode is None:
        member.kill()
        await member.wait()


async def _work(members: Sequence[Process], sagas: int, in_flight: int, *, at_home: bool = False) -> Round:
    """Have them run so many sagas between them. `at_home`: with keys that each makes for itself."""
    share = sagas // len(members)
    begun = time.perf_counter()
    for member in members:
        assert member.stdin
        member.stdin.write(f"{share} {in_flight // len(members)} {at_home:d}\n".encode())
    spent = await asyncio.gather(*(_said(member) for member in members))
    return Round(share * len(members) / (time.perf_counter() - begun), sum(map(float, spent)) / len(members))


async def _said(member: Process) -> bytes:
    assert member.stdout
    said = await member.stdout.readline()
    if not said:
        raise BenchFailed(f"a worker has ended with {await member.wait()}")
    return said


async def be_member(url: str) -> None:
    """Work and send as stdin says, line by line, until it is closed."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with bench.engine(url) as engine:
        print("joined", flush=True)
        while line := await reader.readline():
            sagas, in_flight, at_home = map(int, line.split())
            load = await run_many(engine, sagas, in_flight, at_home=bool(at_home))
            print(load.cpu_ms_per_saga, flush=True)


async def main(url: str, workers: int = 2, sagas: int = 2_000, in_flight: int = IN_FLIGHT) -> Crew:
    """On new schemas."""
    async with ground(url) as on:
        alone, together = on.beside("alone"), on.beside("together")
        for new in (alone, together):
            async with bench.engine(new):
                pass  # its tables
        return await measure(alone, together, workers, sagas, in_flight)


if __name__ == "__main__":
    log_to_stderr(level="warning")
    if sys.argv[1] == "--member":
        asyncio.run(be_member(sys.argv[2]))
    else:
        print(msgspec.json.encode(asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))).decode())
