"""The log of a process that serves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from tests.each_store import ON_EACH_STORE
from tests.telemetry.traces.test_tracer import PARENT, TRACE, Ring, Rung
from tests.telemetry.traces.tree import Collected, nodes

from sagakit import App, Context, Retry, Saga
from sagakit.telemetry import Telemetry
from sagakit.telemetry.logs import UnknownSetting, log_to_stderr
from sagakit.testing import manual

pytestmark = ON_EACH_STORE


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before, root, level = structlog.get_config(), list(logging.root.handlers), logging.root.level
    yield
    structlog.configure(**before)
    logging.root.handlers[:] = root
    logging.root.setLevel(level)


def test_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    structlog.get_logger("sagakit.server").warning("parked", message="orders.PlaceOrder")
    said = capsys.readouterr()
    assert said.out == ""
    assert "[warning  ] parked" in said.err
    assert "message=orders.PlaceOrder" in said.err
    assert said.err.count("\n") == 1


def test_an_error_keeps_what_was_at_hand_to_itself(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    try:
        card_number = "4111 1111"
        raise ValueError(f"no card of {len(card_number)} digits")
    except ValueError:
        structlog.get_logger().exception("failed")
    said = capsys.readouterr().err
    assert "ValueError: no card of 9 digits" in said
    assert "4111" not in said


# ---------------------------------------------------------------------- for machines


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    said = capsys.readouterr()
    assert said.out == ""
    return [json.loads(line) for line in said.err.splitlines()]


def test_json_has_a_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("json")
    structlog.get_logger("sagakit.server").warning("parked", message="orders.PlaceOrder")
    logging.getLogger("some.library").warning("retrying in %s s", 3)
    try:
        card_number = "4111 1111"
        raise ValueError(f"no card of {len(card_number)} digits")
    except ValueError:
        structlog.get_logger().exception("failed")
    own, foreign, failed = lines(capsys)
    assert own.pop("timestamp").endswith("Z")
    assert own == {"level": "warning", "logger": "sagakit.server", "event": "parked", "message": "orders.PlaceOrder"}
    assert (foreign["event"], foreign["level"]) == ("retrying in 3 s", "warning")
    assert "ValueError: no card of 9 digits" in failed["exception"]
    assert "4111" not in json.dumps(failed)


def test_a_worker_signs_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("json", by="shop/2")
    structlog.get_logger("sagakit.workers").info("a worker has come", worker="shop/1")
    logging.getLogger("some.library").warning("retrying")
    log_to_stderr("json")
    structlog.get_logger("sagakit.workers").info("alone")
    first, second, third = lines(capsys)
    assert (first["worker"], first["by"], second["by"]) == ("shop/1", "shop/2", "shop/2")
    assert "by" not in third


def test_nothing_below_the_level_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("json", "error")
    structlog.get_logger("a").warning("no")
    structlog.get_logger("a").error("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes"]


def test_the_environment_says_what_nobody_else_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGAKIT_LOG_FORMAT", "JSON")
    log_to_stderr()
    structlog.get_logger("a").info("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes"]
    monkeypatch.setenv("SAGAKIT_LOG_LEVEL", "loud")
    with pytest.raises(UnknownSetting, match="SAGAKIT_LOG_LEVEL=loud"):
        log_to_stderr()


async def test_what_a_handler_and_a_saga_say_is_found_by_trace_and_story(capsys: pytest.CaptureFixture[str]) -> None:
    app, collected = App("t"), Collected()

    @app.handles(retry=Retry(2, first=1.0))
    async def ring(command: Ring, context: Context) -> Rung:
        structlog.get_logger("mine").info("ringing")
        context.log.info("ringing too")
        if context.attempt == 1:
            raise ConnectionError("no line")
        return Rung(command.key)

    @app.saga(key="key")
    async def answer(rung: Rung, saga: Saga) -> None:
        saga.log.info("rung")

    log_to_stderr("json")
    async with manual.engine(app, observer=Telemetry(collected)) as running:
        lines(capsys)  # what an engine says that takes its partitions over
        receipt = await running.send(Ring("a"), trace=PARENT)
        await running.settle()
        await running.advance(seconds=10)
        said = lines(capsys)
    assert [line["event"] for line in said] == ["ringing", "ringing too", "retrying", "ringing", "ringing too", "rung"]
    for line in said:
        assert (line["trace_id"], line["correlation_id"]) == (TRACE, receipt.correlation_id), line
    first = said[0]
    (failed, _) = [node for node in nodes(collected.spans) if node.name == "process t.Ring"]
    assert (first["span_id"], first["message_id"]) == (failed.span_id, receipt.message_id)
    assert (first["message"], first["consumer"], first["attempt"], first["logger"]) == ("t.Ring", "t.ring", 1, "mine")
    assert said[2]["message_id"] == receipt.message_id
    assert (said[-1]["process"], "instance" in said[-1]) == ("t.answer", True)
