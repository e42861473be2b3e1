"""What an answer says of itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sagakit.transports.http import Answer

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "wait"),
    [
        (None, None),
        ("", None),
        ("30", 30.0),
        ("0", 0.0),
        ("999999999999", 86_400.0),
        ("-3", None),
        ("soon", None),
        ("Thu, 01 Jan 2026 00:00:10 GMT", 10.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 86_400.0),
    ],
)
def test_when_to_ask_again(sent: str | None, wait: float | None) -> None:
    headers = {} if sent is None else {"retry-after": sent}
    assert Answer(503, headers, b"").retry_after(NOW) == wait


def test_what_was_said_is_short_and_one_line() -> None:
    assert Answer(500, {}, b"a\n  b" + b"x" * 1000).said == "500: a b" + "x" * 197
    assert Answer(404, {}, b"").said == "404"
