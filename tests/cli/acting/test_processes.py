"""Actions on instances from the command line, through the engine that runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.cli.acting.conftest import Running
from tests.cli.acting.desk import Ask, Check, Uncheck
from tests.cli.conftest import Sagakit, Said

from sagakit.cli.failures import Failure
from sagakit.cli.owner import url_of

WHY = ("--reason", "by hand", "--by", "ada")


def explained(sagakit: Sagakit, running: Running, key: str = "a") -> Any:
    return sagakit("processes", "explain", key, "--db", running.db, "--json").json


def comes_to(sagakit: Sagakit, running: Running, situation: str, key: str = "a") -> None:
    """Wait until that is how it stands; before it has begun, there is nothing to explain."""

    def said() -> bool:
        found = sagakit("processes", "explain", key, "--db", running.db, "--json")
        return not found.code and found.json["situation"] == situation

    running.until(said)


def obey(sagakit: Sagakit, running: Running, command: str, **fill: str) -> Said:
    """Run a command as explain prints it."""
    for name, value in fill.items():
        command = command.replace(name, shlex.quote(value))
    said = sagakit(*shlex.split(command)[1:], "--db", running.db)
    assert said.code == 0, said.err
    return said


def test_what_is_retried_is_explained_and_retried_now(sagakit: Sagakit, running: Running) -> None:
    running.desk.down = {Check}
    running.open()
    comes_to(sagakit, running, "retrying")
    found = explained(sagakit, running)
    assert found["waits_for"][0]["last_error"] == "ConnectionError: nobody there"
    running.desk.down.clear()
    said = obey(sagakit, running, found["mend"][0])
    assert said.out.startswith("retry recorded for ")
    comes_to(sagakit, running, "waiting_for_event")
    obey(sagakit, running, explained(sagakit, running)["mend"][0], **{"'{...}'": '{"key": "a"}'})
    running.until(lambda: running.status() == "completed")


def test_an_explanation_in_words(sagakit: Sagakit, running: Running) -> None:
    running.desk.down = {Check}
    running.open()
    comes_to(sagakit, running, "retrying")
    said = sagakit("processes", "explain", "a", "--db", running.db)
    assert "t.Check failed and is tried again: ConnectionError: nobody there" in said.out
    assert "who can unblock it  the service that handles t.Check (t.check)" in said.out
    assert "mend                sagakit processes retry " in said.out
    assert "next                then its code goes on" in said.out


def test_a_failed_undo_is_taken_up_again(sagakit: Sagakit, running: Running) -> None:
    running.desk.down = {Uncheck}
    running.open()
    comes_to(sagakit, running, "waiting_for_event")
    done = sagakit("processes", "cancel", "a", *WHY, "--db", running.db, "--json").json
    assert (done["action"], done["status"]) == ("cancel", "undoing")
    running.until(lambda: running.status() == "compensation_failed")
    (stuck,) = sagakit("processes", "stuck", "--db", running.db, "--json").json["items"]
    assert stuck["why"] == "compensation_failed: ConnectionError: nobody there"
    assert "compensation_failed" in sagakit("processes", "stuck", "--db", running.db).out
    running.desk.down.clear()
    obey(sagakit, running, explained(sagakit, running)["mend"][0])
    running.until(lambda: running.status() == "compensated")


def test_one_is_paused_resumed_skipped_abandoned(sagakit: Sagakit, running: Running) -> None:
    running.desk.down = {Check}
    running.open()
    comes_to(sagakit, running, "retrying")
    assert sagakit("processes", "pause", "a", *WHY, "--db", running.db).code == 0
    found = explained(sagakit, running)
    assert found["why"] == "the instance is paused by ada: by hand"
    obey(sagakit, running, found["mend"][0])
    assert sagakit("processes", "skip-step", "a", "--step", "Check", *WHY, "--db", running.db).code == 0
    comes_to(sagakit, running, "waiting_for_event")
    assert sagakit("processes", "abandon", "a", *WHY, "--db", running.db).code == 0
    assert running.status() == "abandoned"
    said = sagakit("processes", "compensate", "a", *WHY, "--db", running.db)
    assert said.code == 1
    assert "has ended as abandoned" in said.err
    assert running.desk.done == []


def test_who_acts_is_the_user_of_the_machine_unless_said(sagakit: Sagakit, running: Running, monkeypatch: Any) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "grace")
    running.open()
    comes_to(sagakit, running, "waiting_for_event")
    sagakit("processes", "pause", "a", "--reason", "x", "--db", running.db)
    assert explained(sagakit, running)["why"] == "the instance is paused by grace: x"


def test_no_password_is_shown_where_no_engine_runs() -> None:
    with pytest.raises(Failure) as failed:
        url_of(None, "postgresql://shop:secret@db.example/shop?schema=two")
    assert str(failed.value) == (
        "no engine runs on postgresql://db.example/shop?schema=two: start the app "
        "(sagakit run MODULE:APP --db postgresql://db.example/shop?schema=two), then say this again"
    )


def test_without_an_engine_that_is_said_in_a_line(sagakit: Sagakit, running: Running, tmp_path: Path) -> None:
    running.open()
    comes_to(sagakit, running, "waiting_for_event")
    running.stop()
    said = sagakit("processes", "cancel", "a", *WHY, "--db", running.db)
    assert said.code == 1
    assert said.err == (
        f"sagakit: no engine runs on {running.db}: start the app (sagakit run MODULE:APP --db {running.db}), "
        "then say this again\n"
    )
    found = explained(sagakit, running)
    assert (found["situation"], found["engine"]) == ("waiting_for_event", False)
    assert "no engine runs on this database" in sagakit("processes", "explain", "a", "--db", running.db).out
    running.desk.done.clear()
    restarted = Running(running.db)
    restarted.start()
    running.stop = restarted.stop  # type: ignore[method-assign]
    assert sagakit("processes", "cancel", "a", *WHY, "--db", running.db).code == 0
    restarted.until(lambda: restarted.status() == "compensated")


def test_what_is_wrong_is_said_in_a_line(sagakit: Sagakit, running: Running) -> None:
    running.open()
    comes_to(sagakit, running, "waiting_for_event")
    assert "there is no process zz" in sagakit("processes", "cancel", "zz", *WHY, "--db", running.db).err
    said = sagakit("processes", "cancel", "a", "--db", running.db)
    assert (said.code, "--reason" in said.err) == (2, True)
    said = sagakit("processes", "give-result", "a", *WHY, "--message", "t.Word", "--payload", "{", "--db", running.db)
    assert (said.code, "--payload is no JSON" in said.err) == (2, True)
    said = sagakit("processes", "give-result", "a", *WHY, "--message", "t.Nope", "--db", running.db)
    assert "no class of this app claims the message type 't.Nope'" in said.err
    assert running.status() == "running"
    assert Ask not in running.desk.down


def test_what_failed_of_a_batch_is_sent_again(sagakit: Sagakit, running: Running) -> None:
    running.desk.down = {Ask}
    running.pile(3)
    comes_to(sagakit, running, "ended", "p")
    assert "each t.Ask: 0 done, 3 failed of 3" in sagakit("processes", "explain", "p", "--db", running.db).out
    shown = sagakit("processes", "show", "p", "--db", running.db)
    assert "each t.Ask" in shown.out
    assert "0 done, 3 failed of 3" in shown.out
    running.desk.down.clear()
    obey(sagakit, running, explained(sagakit, running, "p")["mend"][0])
    running.until(lambda: len(running.desk.done) == 3)
    comes_to(sagakit, running, "ended", "p")
    (batch,) = sagakit("processes", "show", "p", "--db", running.db, "--json").json["progress"]
    assert (batch["done"], batch["failed"], batch["state"]) == (3, 0, "ended")
    again = sagakit("processes", "rerun-failed", "p", *WHY, "--db", running.db)
    assert again.code != 0
    assert "has no failed items" in again.err
