"""Deliveries from the command line: listed, shown, retried, edited, dropped."""

from __future__ import annotations

from typing import Any

from tests.cli.acting.conftest import Running
from tests.cli.acting.desk import Ask
from tests.cli.conftest import Sagakit

WHY = ("--reason", "by hand")


def parked(sagakit: Sagakit, running: Running) -> list[Any]:
    found = sagakit("deliveries", "list", "--state", "parked", "--db", running.db, "--json").json["items"]
    assert isinstance(found, list)
    return found


def test_parked_messages_are_seen_to(sagakit: Sagakit, running: Running) -> None:
    running.desk.down = {Ask}
    for key in "abcd":
        running.ask(key)
    running.until(lambda: len(parked(sagakit, running)) == 4)
    first, second, *_ = [one["delivery"] for one in parked(sagakit, running)]
    listed = sagakit("deliveries", "list", "--db", running.db, "--limit", 3)
    assert "t.Ask" in listed.out
    assert "more: --next 3" in listed.out
    shown = sagakit("deliveries", "show", first, "--db", running.db)
    assert "it was given up: ConnectionError: nobody there" in shown.out
    assert f'sagakit deliveries retry {first} --reason "..."' in shown.out
    assert '{"key":"a","text":"?"}' in shown.out
    running.desk.down.clear()
    assert sagakit("deliveries", "retry", first, *WHY, "--db", running.db).code == 0
    edit = ("deliveries", "edit", second, *WHY, "--payload", '{"key": "b", "text": "!"}', "--db", running.db)
    assert "choose keep_key" in sagakit(*edit).err
    assert sagakit(*edit, "--keep-key").code == 0
    third = parked(sagakit, running)[0]["delivery"]
    assert sagakit("deliveries", "drop", third, *WHY, "--db", running.db).code == 0
    assert sagakit("deliveries", "retry-all", "--error", "nobody", *WHY, "--db", running.db).out == "1 retried\n"
    running.until(lambda: len(running.desk.done) == 3)
    assert sorted(str(one) for one in running.desk.done) == [
        "Ask(key='a', text='?')",
        "Ask(key='b', text='!')",
        "Ask(key='d', text='?')",
    ]
    assert "there is no delivery 99" in sagakit("deliveries", "show", 99, "--db", running.db).err


def test_a_delivery_without_an_engine(sagakit: Sagakit, running: Running) -> None:
    running.desk.down = {Ask}
    running.ask()
    running.until(lambda: parked(sagakit, running))
    running.stop()
    shown = sagakit("deliveries", "show", 1, "--db", running.db, "--json").json
    assert (shown["explanation"]["situation"], shown["explanation"]["engine"]) == ("parked_command", False)
    assert shown["payload"] == {"key": "a", "text": "?"}
    assert "no engine runs" in sagakit("deliveries", "retry", 1, *WHY, "--db", running.db).err
    again = Running(running.db)
    again.start()
    running.stop = again.stop  # type: ignore[method-assign]
