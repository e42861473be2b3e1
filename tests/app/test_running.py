"""An app runs until the process is told to stop, and stops in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sagakit.app.running import SIGNALS, signalled, until_told
from sagakit.engine.engine import Engine

PROGRAM = """
import sys
from dataclasses import dataclass
from sagakit import App

@dataclass(frozen=True)
class Do:
    id: str

@dataclass(frozen=True)
class Done:
    id: str

class Open: ...

app = App("app")

@app.provides
async def open_() -> "AsyncIterator[Open]":
    print("running", flush=True)
    yield Open()
    if "wait" in sys.argv:
        sys.stdin.readline()
    print("closed", flush=True)

from collections.abc import AsyncIterator

@app.handles
async def do(command: Do, open_: Open) -> Done:
    return Done(command.id)

app.run(sys.argv[1])
print("done", flush=True)
"""


def test_a_second_sigterm_cuts_nothing_short(tmp_path: Path) -> None:
    # make, and whoever stops a group, sends it to the process as well as to its parent
    command = [sys.executable, "-c", PROGRAM, f"sqlite:///{tmp_path / 'app.db'}", "wait"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        for _ in range(5):
            process.send_signal(signal.SIGTERM)
        assert process.communicate("all of them were sent\n") == ("closed\ndone\n", "")
        assert process.returncode == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_run_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM, f"sqlite:///{tmp_path / 'app.db'}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        assert process.stdout.read() == "closed\ndone\n"
        assert process.wait() == 0
        assert process.stderr.read() == ""


async def test_the_first_signal_is_told_and_a_second_interrupt_is_not_ours() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with signalled() as told:
        assert not told.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(told.wait(), 30)
        assert [signal.getsignal(number) for number in SIGNALS][1] in (signal.default_int_handler, before[1])


async def test_signals_are_left_as_they_were() -> None:
    with signalled():
        pass
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


class Dying:
    """As much of an engine as is waited for."""

    def __init__(self, fatal: BaseException | None) -> None:
        self.fatal = fatal

    async def stopped(self) -> None: ...


async def test_an_engine_that_dies_is_not_waited_for() -> None:
    engine: Engine = Dying(OSError("the disk is gone"))  # type: ignore[assignment]
    with pytest.raises(OSError, match="the disk is gone"):
        await until_told(engine, asyncio.Event())
    await until_told(Dying(None), asyncio.Event())  # type: ignore[arg-type]
