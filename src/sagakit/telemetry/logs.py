"""Log lines on stderr: for people, or JSON for machines. Each knows its message, its process and its trace.

Never the values that were at hand when something failed, and never a payload.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal, TextIO, TypeAlias, cast, get_args

import structlog
from opentelemetry.trace import get_current_span
from structlog.typing import EventDict, Processor

from sagakit.core.display import log_fields
from sagakit.errors import TerminalError
from sagakit.telemetry.handled import HANDLED

Form: TypeAlias = Literal["console", "json"]
Level: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]

FORM, LEVEL = "SAGAKIT_LOG_FORMAT", "SAGAKIT_LOG_LEVEL"
"""The variables that say so where nobody else does."""


class UnknownSetting(TerminalError):
    """A setting of the log that is not known."""


class _Lines(structlog.PrintLogger):
    """Writes lines, and knows its name."""

    def __init__(self, file: TextIO, name: str) -> None:
        super().__init__(file)
        self.name = name


def log_to_stderr(form: Form | None = None, level: Level | None = None, *, by: str = "") -> None:
    """Let every log of this process go to stderr; what is not given, the environment says.

    `by`: a worker's name, for each line, where several write to one place.
    """
    form = form or cast("Form", _one_of(FORM, get_args(Form), "console"))
    level = level or cast("Level", _one_of(LEVEL, get_args(Level), "info"))
    least = logging.getLevelNamesMapping()[level.upper()]
    shared = [*_shared(form), *([_signed(by)] if by else [])]
    rendering = _rendering(form)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *names: _Lines(sys.stderr, str(names[0]) if names else ""),
    )
    _take_others(shared, rendering, max(least, logging.WARNING))


def with_handled(_: Any, __: str, event: EventDict) -> EventDict:
    """What the running task handles, and the span that it stands in."""
    handled = HANDLED.get()
    if handled is not None:
        delivery, consumer = handled
        for name, value in log_fields(delivery.envelope).items():
            event.setdefault(name, value)
        event.setdefault("consumer", consumer)
        event.setdefault("attempt", delivery.attempt)
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _shared(form: Form) -> list[Processor]:
    stamp = structlog.processors.TimeStamper("iso") if form == "json" else _local_time
    return [
        structlog.contextvars.merge_contextvars,
        with_handled,
        structlog.processors.add_log_level,
        _add_name,
        stamp,
    ]


def _rendering(form: Form) -> list[Processor]:
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    ]


_local_time = structlog.processors.TimeStamper("%Y-%m-%d %H:%M:%S", utc=False)


def _add_name(logger: Any, _: str, event: EventDict) -> EventDict:
    name = getattr(logger, "name", "") or ""
    if name:
        event["logger"] = name
    return event


def _signed(by: str) -> Processor:
    def sign(_: Any, __: str, event: EventDict) -> EventDict:
        event.setdefault("by", by)
        return event

    return sign


def _take_others(shared: Sequence[Processor], rendering: Sequence[Processor], least: int) -> None:
    """What libraries log goes the same way, so that a reader of JSON lines meets nothing else."""
    handler = logging.StreamHandler(sys.stderr)
    end = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[end, *rendering], foreign_pre_chain=shared))
    root = logging.getLogger()
    for one in [one for one in root.handlers if isinstance(one.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(one)
    root.addHandler(handler)
    root.setLevel(least)


def _one_of(variable: str, known: Sequence[str], default: str) -> str:
    value = os.environ.get(variable, "").lower() or default
    if value not in known:
        raise UnknownSetting(f"{variable}={value}: it is one of {', '.join(known)}")
    return value
