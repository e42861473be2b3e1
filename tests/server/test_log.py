"""The log of a process that serves."""

from collections.abc import Iterator

import pytest
import structlog

from sagakit.server.log import log_to_stderr


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


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
