"""What goes wrong with a request: for a time, or for good."""

from __future__ import annotations

from sagakit.errors import RetryableError, TerminalError


class RequestFailed(RetryableError):
    """The service could not be reached, or could not do it this time; `retry_after` is when it wants to be asked."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class RequestRejected(TerminalError):
    """The service answered what is no declared outcome: asking again cannot help. It may have been done."""


class EgressRefused(TerminalError):
    """The request would go where none may go; nothing was sent."""
