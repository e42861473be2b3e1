"""`python -m tests.chaos --seconds 600`: a run under fire, and three short ones in which a promise is broken."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.run import Ran, run
from tests.servers.postgres import server

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
    with server() as postgres, tempfile.TemporaryDirectory(prefix="sagakit-chaos-") as folder:
        others = [] if fault else [_named("postgres restart", partial(postgres.restart, "immediate"))]
        return asyncio.run(
            run(postgres.url, Path(folder), seconds=seconds, seed=seed, count=count, fault=fault, others=others)
        )


def _named(name: str, call: Callable[[], None]) -> Callable[[], None]:
    def named() -> None:
        call()

    named.__name__ = name
    return named


if __name__ == "__main__":
    sys.exit(main())
