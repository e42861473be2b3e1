"""`python -m tests.chaos --seconds 600`: a run under fire, and three short ones in which a promise is broken."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.run import Ran, run
from tests.chaos.servers import disturbances
from tests.servers.kafka import broker
from tests.servers.postgres import server
from tests.servers.valkey import process

PLANTED = 4.0
"""Seconds of a run with a planted fault."""


def main() -> int:
    """Print what was found; 0 if nothing was, and every planted fault was."""
    words = argparse.ArgumentParser(prog="tests.chaos")
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--seed", type=int, default=None)
    words.add_argument("--workers", type=int, default=4)
    asked = words.parse_args()
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    ran = _run(asked.workers, seed, asked.seconds, "")
    findings = ran.findings
    for line in (f"disturbed: {ran.done}", *findings.all, *ran.refused, ran.said):
        if line:
            print(line, flush=True)
    caught = 0
    for fault in FAULTS:
        found = getattr(_run(2, seed, PLANTED, fault).findings, fault)
        print(f"planted {fault}: {found[0] if found else 'not found'}", flush=True)
        caught += bool(found)
    print(
        f"acknowledged={findings.acknowledged} settled={findings.settled} lost={len(findings.lost)} "
        f"doubled={len(findings.doubled)} disordered={len(findings.disordered)} kills={ran.kills} "
        f"caught={caught}/{len(FAULTS)}"
    )
    return int(bool(findings.all or ran.refused) or caught < len(FAULTS))


def _run(count: int, seed: int, seconds: float, fault: str) -> Ran:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sagakit-chaos-")))
        postgres = stack.enter_context(server())
        if fault:
            return asyncio.run(run(postgres.url, folder, seconds=seconds, seed=seed, count=count, fault=fault))
        valkey = stack.enter_context(process(folder / "valkey"))
        kafka = stack.enter_context(broker(folder))
        others = disturbances(postgres, valkey, kafka)
        urls = {"valkey": valkey.url, "kafka": kafka.url}
        return asyncio.run(run(postgres.url, folder, seconds=seconds, seed=seed, count=count, others=others, **urls))


if __name__ == "__main__":
    sys.exit(main())
