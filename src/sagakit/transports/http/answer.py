"""The answer of a service, as the functions see it that make an outcome of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

MOST_SAID = 200
"""Characters of an answer that errors show."""
LONGEST_WAIT = 86_400.0
"""Seconds: a service that asks for a longer wait is asked again after a day."""


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in lower case) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises ValueError (msgspec.DecodeError) if it is none."""
        return msgspec.json.decode(self.body)

    @property
    def said(self) -> str:
        """The status and the beginning of the body, for people."""
        text = " ".join(self.body[: MOST_SAID * 4].decode(errors="replace").split())[:MOST_SAID]
        return f"{self.status}: {text}" if text else str(self.status)

    def retry_after(self, now: datetime | None = None) -> float | None:
        """Seconds until the service wants to be asked again, by `Retry-After`; None if it does not say."""
        sent = self.headers.get("retry-after", "").strip()
        if sent.isascii() and sent.isdigit():
            return min(float(sent[:9]), LONGEST_WAIT)
        try:
            at = parsedate_to_datetime(sent)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        wait = (at - (now or datetime.now(UTC))).total_seconds()
        return min(max(wait, 0.0), LONGEST_WAIT)
