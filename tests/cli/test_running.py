"""`demo`, `run` and `bench` as processes of their own, beside readers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.conftest import Sagakit, until
from tests.cli.test_apps import GOOD


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(GOOD, encoding="utf-8")
    return tmp_path


@contextmanager
def running(folder: Path, *words: object) -> Iterator[subprocess.Popen[str]]:
    """`sagakit` in a folder, as a process of its own."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "XDG_DATA_HOME": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "sagakit", *map(str, words)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def started(folder: Path, *words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The same once it has said its first line."""
    with running(folder, *words) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline()


def address(line: str) -> str:
    return next(word for word in line.split() if word.startswith("http://")).removesuffix("/api/v1/commands/NAME,")


def test_run_serves_commands_beside_readers(folder: Path, sagakit: Sagakit) -> None:
    db = folder / "bank.db"
    with started(folder, "run", "mine:bank", "--db", db, "--port", 0) as (process, line):
        assert line.startswith("bank: 2 commands at http://127.0.0.1:")
        url = address(line)
        assert httpx.get(f"{url}/health/ready", timeout=60).status_code == 200
        sent = httpx.post(f"{url}/api/v1/commands/tills.OpenTill", json={"till_id": "till-1"}, timeout=60)
        assert sent.status_code == 202
        story = ["messages", "list", "--db", db, "--json", "--correlation", sent.json()["correlation_id"]]
        said = sagakit(*story).json["items"]
        assert said[0]["message"] == "tills.OpenTill"
        until(
            lambda: sagakit("processes", "list", "--db", db, "--json").json["items"]
        )  # a stop leaves what is to begin
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    (settled,) = sagakit("processes", "list", "--db", db, "--json").json["items"]
    assert (settled["key"], settled["type"]) == ("till-1", "tills.morning")


@pytest.mark.parametrize("words", [("run", "mine:bank"), ("demo",)], ids=" ".join)
def test_more_names_are_declared_by_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SAGAKIT_ALLOWED_HOSTS", "shop.example")
    with started(folder, *words, "--db", folder / "own.db", "--port", 0) as (_, line):
        url = f"{address(line)}/api/v1/processes"
        assert httpx.get(url, headers={"Host": "shop.example"}, timeout=60).status_code == 200
        assert httpx.get(url, headers={"Host": "evil.example"}, timeout=60).status_code == 421


@pytest.mark.parametrize("words", [("run", "mine:bank"), ("demo",)], ids=" ".join)
def test_what_the_environment_declares_is_a_name(
    folder: Path, sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SAGAKIT_ALLOWED_HOSTS", "http://shop.example")
    said = sagakit(*words, "--db", folder / "own.db", "--port", 0)
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert said.err.startswith("sagakit: SAGAKIT_ALLOWED_HOSTS: 'http://shop.example' is no host")
    assert not (folder / "own.db").exists()


DOWN = """
from datetime import timedelta
from sagakit import Retry

@tills.handles(retry=Retry(3, first=timedelta(days=1)))
def count(command: CountCash) -> CashCounted:
    raise ConnectionError("the counting machine is down")
"""


def once_retrying(sagakit: Sagakit, db: Path) -> Any:
    """The process once its command has failed, as it is seen beside the engine."""

    def retrying() -> Any:
        said = sagakit("processes", "show", "till-1", "--db", db, "--json")
        return '"retrying"' in said.out and said.json

    return until(retrying)


def test_show_a_step_that_is_tried_again_tomorrow(folder: Path, sagakit: Sagakit) -> None:
    before, _, after = GOOD.partition("@tills.handles\ndef count")
    (folder / "mine.py").write_text(before + DOWN + after.partition("\n\n")[2], encoding="utf-8")
    db = folder / "bank.db"
    with started(folder, "run", "mine:bank", "--db", db, "--port", 0) as (process, line):
        assert line, process.stderr and process.stderr.read()
        httpx.post(f"{address(line)}/api/v1/commands/tills.OpenTill", json={"till_id": "till-1"}, timeout=60)
        shown = once_retrying(sagakit, db)
    assert shown["waiting_for"] == ["tills.CountCash"]
    (waiting,) = shown["deliveries"]
    assert (waiting["message"], waiting["consumer"], waiting["state"]) == ("tills.CountCash", "tills.count", "retrying")
    assert waiting["error"] == "ConnectionError: the counting machine is down"


def test_a_second_engine_on_the_file(folder: Path, sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch) -> None:
    db = folder / "bank.db"
    monkeypatch.chdir(folder)
    with started(folder, "run", "mine:bank", "--db", db, "--port", 0) as (process, line):
        assert line
        for words in (["run", "mine:bank", "--port", "0"], ["migrate"]):
            said = sagakit(*words, "--db", db)
            assert (said.code, said.out) == (1, "")
            assert said.err == f"sagakit: {db} is in use by process {process.pid}: stop it first\n"
        assert sagakit("backup", "--db", db, folder / "copy.db").code == 0
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("words", [["run", "mine:bank", "--db", "bank.db"], ["demo"]], ids=["run", "demo"])
def test_a_port_in_use(folder: Path, sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = sagakit(*words, "--port", port)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"sagakit: port {port} on 127.0.0.1 is in use")
    assert said.err.count("\n") == 1
    assert [path.name for path in folder.iterdir() if path.suffix == ".db"] == []


def test_a_port_in_use_by_another_service(folder: Path, sagakit: Sagakit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = sagakit("demo", "shop", "--service", "order", "--port", port, "--db", folder / "o.db")
    assert said.code == 1
    assert said.err == f"sagakit: 127.0.0.1:{port} cannot be served: is the port in use?\n"


@pytest.mark.parametrize("at", ["till=127.0.0.1:1", "order", "order=127.0.0.1", "order=:9090"])
def test_an_address_of_no_service(folder: Path, sagakit: Sagakit, at: str) -> None:
    said = sagakit("demo", "shop", "--service", "gateway", "--at", at, "--db", folder / "o.db")
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert at in said.err
    assert "HOST:PORT" in said.err
    assert not (folder / "o.db").exists()


def test_a_broker_that_no_trying_again_would_reach(folder: Path, sagakit: Sagakit) -> None:
    words = ("demo", "shop", "--service", "order", "--db", folder / "o.db")
    said = sagakit(*words, "--kafka", "kafka://ann:hush@127.0.0.1:9?sasl=NONSENSE")
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert said.err.startswith("sagakit: kafka://ann@127.0.0.1:9: sasl (sasl.mechanism) is 'NONSENSE': give PLAIN")


def test_a_service_without_its_libraries(folder: Path) -> None:
    program = "import sys; sys.modules['grpc'] = None; from sagakit.cli import run; sys.exit(run(sys.argv[1:]))"
    words = ["demo", "shop", "--service", "order", "--db", "o.db"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "sagakit: gRPC needs an extra: pip install 'sagakit[grpc]'\n")


@pytest.mark.parametrize("name", ["nowhere:app", "mine:nothing", "mine:tills"])
def test_an_app_that_is_none(folder: Path, sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(folder)
    said = sagakit("run", name, "--db", "bank.db", "--port", 0)
    assert (said.code, said.out) == (1, "")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("words", [["run", "mine:bank"], ["demo"], ["demo", "hotel", "--fresh"]], ids=" ".join)
def test_an_idempotency_server_that_is_none(
    folder: Path, sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "kept.db").touch()
    said = sagakit(*words, "--db", folder / "kept.db", "--port", 0, "--idempotency", "http://:s3cret@localhost")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("sagakit: 'http://localhost' names no Redis or Valkey")
    assert (folder / "kept.db").exists()


def test_run_without_the_idempotency_server_that_it_should_have(folder: Path) -> None:
    words = ("run", "mine:bank", "--db", folder / "bank.db", "--port", 0, "--idempotency", "redis://127.0.0.1:9")
    with started(folder, *words) as (process, line):
        command, headers = f"{address(line)}/api/v1/commands/tills.OpenTill", {"Idempotency-Key": "k-1"}
        answers = [httpx.post(command, json={"till_id": "till-1"}, headers=headers, timeout=60) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.content for answer in answers}) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_the_demo_is_seen_by_whoever_names_no_database(
    folder: Path, sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    with started(folder, "demo", "--port", 0) as (process, line):
        assert "http://127.0.0.1:" in line
        order = {"customer_id": "ann", "items": [{"product_id": "prod_1", "quantity": 1, "price": 50}]}
        placed = httpx.post(f"{address(line)}/orders", json=order, timeout=60)
        assert placed.status_code == 201
        said = sagakit("processes", "list", "--json")
        items = said.json["items"] or until(lambda: sagakit("processes", "list", "--json").json["items"])
        assert [item["key"] for item in items] == [placed.json()["id"]]
        assert said.err.startswith("the demo's database: ")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_ctrl_c_is_quiet(folder: Path) -> None:
    with running(folder, "bench", "--sagas", 100_000, "--db", folder / "bench.db") as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        assert told.endswith("...\n"), "long work says what it is at"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
        assert process.wait() == 130
