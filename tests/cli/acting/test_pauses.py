"""Pausing from the command line."""

from __future__ import annotations

from tests.cli.acting.conftest import Running
from tests.cli.conftest import Sagakit

WHY = ("--reason", "stocktaking", "--by", "ada")


def test_a_process_type_stands_still_and_goes_on(sagakit: Sagakit, running: Running) -> None:
    assert sagakit("pause", "process", "t.case", *WHY, "--db", running.db).code == 0
    running.open()
    listed = sagakit("deliveries", "list", "--db", running.db, "--json").json["items"]
    assert [one["message"] for one in listed] == ["t.Opened"]
    shown = sagakit("deliveries", "show", listed[0]["delivery"], "--db", running.db, "--json").json["explanation"]
    assert shown["why"] == "the process t.case is paused by ada: stocktaking"
    assert shown["mend"] == ['sagakit resume process t.case --reason "..."']
    assert sagakit("resume", "process", "t.case", *WHY, "--db", running.db).code == 0
    running.until(lambda: len(running.desk.done) == 1)


def test_wrong_words(sagakit: Sagakit, running: Running) -> None:
    for words, error in (
        (("pause", "everything"), "SCOPE is 'everything': it is one of all, module, process, instance"),
        (("pause", "all", "t"), "all takes no NAME"),
        (("pause", "module"), "module takes a NAME"),
    ):
        said = sagakit(*words, *WHY, "--db", running.db)
        assert said.code == 2
        assert error in said.err
    said = sagakit("pause", "module", "x", *WHY, "--db", running.db)
    assert (said.code, said.err) == (1, "sagakit: the app has no module 'x'; it has: t\n")
    assert sagakit("pause", "all", *WHY, "--db", running.db).out == "pause recorded for all\n"
    assert sagakit("resume", "all", *WHY, "--db", running.db).code == 0
