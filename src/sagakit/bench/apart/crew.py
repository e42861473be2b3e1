"""Several workers on one database: the same sagas by one process, and by several at the same time.

python -m sagakit.bench.apart.crew postgresql://... [WORKERS [SAGAS]]
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from statistics import median

import msgspec
from msgspec import Struct

from sagakit.bench.grounds import ground
from sagakit.bench.load import run_many
from sagakit.bench.orders import bench
from sagakit.bench.sizes import BenchFailed
from sagakit.telemetry.logs import log_to_stderr

IN_FLIGHT = 200
"""Sagas at the same time, over all workers: so many that the transactions of each of two are of a common size."""
WARM_UP = 200
ROUNDS = 3


class Crew(Struct, frozen=True):
    """What a crew does, and what one of it does alone."""

    workers: int
    alone_sagas_per_s: float
    together_sagas_per_s: float
    ratio: float
    """Together to alone."""


async def measure(url: str, workers: int, sagas: int) -> Crew:
    """One worker first; then all of them, each of which sends its share. The medians of some rounds count."""
    members: list[Process] = []
    try:
        members.append(await _hire(url))
        await _work(members, WARM_UP)
        alone = [await _work(members, sagas) for _ in range(ROUNDS)]
        members += await asyncio.gather(*(_hire(url) for _ in range(workers - 1)))
        await _work(members, WARM_UP * workers)
        together = [await _work(members, sagas) for _ in range(ROUNDS)]
    finally:
        await asyncio.gather(*(_dismiss(member) for member in members))
    one, all_of_them = median(alone), median(together)
    return Crew(workers, round(one, 1), round(all_of_them, 1), round(all_of_them / one, 3))


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


async def _work(members: Sequence[Process], sagas: int) -> float:
    """Have them run so many sagas between them; the sagas per second."""
    share = sagas // len(members)
    begun = time.perf_counter()
    for member in members:
        assert member.stdin
        member.stdin.write(f"{share} {IN_FLIGHT // len(members)}\n".encode())
    await asyncio.gather(*(_said(member) for member in members))
    return share * len(members) / (time.perf_counter() - begun)


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
            sagas, in_flight = map(int, line.split())
            await run_many(engine, sagas, in_flight)
            print("done", flush=True)


async def main(url: str, workers: int, sagas: int) -> Crew:
    """On a new schema."""
    async with ground(url) as on:
        async with bench.engine(on.url):
            pass  # its tables
        return await measure(on.url, workers, sagas)


if __name__ == "__main__":
    log_to_stderr(level="warning")
    if sys.argv[1] == "--member":
        asyncio.run(be_member(sys.argv[2]))
    else:
        given = [*map(int, sys.argv[2:]), *(2, 2_000)[len(sys.argv) - 2 :]]
        print(msgspec.json.encode(asyncio.run(main(sys.argv[1], given[0], given[1]))).decode())
