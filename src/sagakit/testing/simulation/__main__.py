"""`python -m sagakit.testing.simulation`: many seeds; exits with 1 if a promise was broken, or a fault not found."""

from __future__ import annotations

import argparse
import secrets
import sys

from sagakit.testing.simulation.run import simulate
from sagakit.testing.simulation.seeds import report, subject_for, subjects_of


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m sagakit.testing.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, help="how many (default 50; 1 with --seed)")
    parser.add_argument("--seed", type=int, help="the first one; without it other ones each time")
    parser.add_argument("--with", dest="subjects", action="append", default=[], metavar="MODULE:NAME", help="more apps")
    parser.add_argument("--jobs", type=int, default=0, help="processes (default: one a core)")
    parser.add_argument("--table", action="store_true", help="say at which seed each broken engine was caught")
    parser.add_argument("--trace", action="store_true", help="show all that happens with one seed")
    asked = parser.parse_args()
    count = asked.seeds if asked.seeds is not None else (50 if asked.seed is None else 1)
    first = asked.seed if asked.seed is not None else secrets.randbelow(2**31)
    if asked.trace:
        verdict = simulate(first, subject_for(first, subjects_of(asked.subjects)), keep_trace=True)
        _say("\n".join(verdict.trace))
    totals = report(range(first, first + count), asked.subjects, _say, jobs=asked.jobs, table=asked.table)
    _say(str(totals))
    return 0 if totals.fine else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
