from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
from tests.cli.conftest import Sagakit

COMMANDS = [
    ["demo"],
    ["run"],
    ["check"],
    ["bench"],
    ["processes", "list"],
    ["processes", "show"],
    ["processes", "history"],
    ["processes", "explain"],
    ["processes", "stuck"],
    ["processes", "retry"],
    ["processes", "rerun-failed"],
    ["processes", "skip-step"],
    ["processes", "give-result"],
    ["messages", "list"],
    ["deliveries", "list"],
    ["deliveries", "show"],
    ["deliveries", "retry-all"],
    ["deliveries", "edit"],
    ["workers", "list"],
    ["pause"],
    ["resume"],
    ["migrate"],
    ["backup"],
    ["copy"],
]


def test_the_help_has_every_command_on_one_screen(sagakit: Sagakit) -> None:
    said = sagakit("--help")
    assert said.code == 0
    assert (
        said.out
        == """\
Usage: sagakit [OPTIONS] COMMAND

  Durable business processes: run them, look at them, keep their database.

Options:
  --version   Show the version.
  --debug     Show the traceback of an error; works anywhere.
  -h, --help  Show this message and exit.

Run:
  demo [DEMO]          Run a small business: a shop, a hotel or subscriptions
  run MODULE:APP       Run an app: its engine and an HTTP door for commands
  check MODULE:APP     Check an app: what it consists of, or all its problems
  map MODULE:APP       Map an app: who sends what to whom, what leads nowhere
  versions MODULE:APP  Which versions of its processes run, and which may go
  verify MODULE:APP    Replay what runs against this code, without effect
  bench                Measure sagas on this machine beside the bare database

Look (also while an engine runs):
  processes list        The newest processes first
  processes show ID     All about one: steps, undos, what it waits for
  processes history ID  Each message that it took or sent, in order
  processes log ID      Its saga log: each transition, with its step and trace
  processes explain ID  Why it stands still, and which command mends it
  processes stuck       Those that do not move
  messages list         A story as a tree: which message caused which
  deliveries list       What is still to be handled, the oldest first
  deliveries show N     One with its message, and why it stands there
  workers list          List the workers of a database

Act (through the engine that runs):
  processes retry ID                Try what it failed on, or waits for, again
  processes cancel ID               Undo what it has done, and end it
  processes abandon ID              End it as it stands, and undo nothing
  processes compensate ID           Undo it by force: it counts as failed
  processes resume-compensation ID  Try a given-up undo again, then the rest
  processes rerun-failed ID         Send the failed items of a batch again
  processes skip-step ID            Go on without a step, or wake a sleeper
  processes give-result ID          Give a result or an event by hand
  processes pause ID                Let it stand still until it is resumed
  processes resume ID               Let it go on with all that came
  deliveries retry N                Try it now, in a new round of attempts
  deliveries retry-all              Retry all that match
  deliveries edit N                 Put another message in its place
  deliveries drop N                 Take it away; an undo counts as done
  pause SCOPE [NAME]                Let everything, or a part, stand still
  resume SCOPE [NAME]               Let it go on with all that came

Keep:
  migrate       Bring a database to this version's schema
  backup FILE   Copy a database to a file, also while its engine runs
  copy FROM TO  Move a database to another kind, such as SQLite to PostgreSQL

  `sagakit COMMAND --help` says the rest. SAGAKIT_DB may stand for --db.
"""
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(sagakit: Sagakit, words: list[str]) -> None:
    said = sagakit(*words, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: sagakit {' '.join(words)} [OPTIONS]")
    assert max(map(len, said.out.splitlines())) <= 80
    assert len(said.out.splitlines()) < 36
    assert "--db" in said.out or words in (["check"], ["copy"])


@pytest.mark.parametrize("words", [[], ["processes"], ["messages"], ["deliveries"]], ids=" ".join)
def test_half_a_command_gets_the_help(sagakit: Sagakit, words: list[str]) -> None:
    said = sagakit(*words)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("Usage: sagakit")


def test_version(sagakit: Sagakit) -> None:
    said = sagakit("--version")
    assert (said.code, said.out) == (0, f"sagakit {version('sagakit')}\n")


def test_what_only_reads_loads_no_server() -> None:
    """So that it starts fast."""
    look = (
        "import sys; from sagakit.cli import run; run(['processes', 'list', '--db', 'nowhere.db']);"
        "print(*sorted(set(sys.modules) & {'litestar', 'uvicorn', 'httpx', 'sagakit.demos.shop'}))"
    )
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert said.stdout == "\n"
    assert said.stderr.startswith("sagakit: nowhere.db does not exist")
