"""Where a page begins that `--next` asks for."""

from __future__ import annotations

from sagakit.cli.failures import WrongUse
from sagakit.server.showing import views


def place(token: str | None, parts: int) -> tuple[int, ...] | None:
    """The numbers in a token. Raises WrongUse for one that came with no page."""
    try:
        return views.place(token, parts)
    except views.UnknownPage as unknown:
        raise WrongUse(f"--next {unknown}") from unknown
