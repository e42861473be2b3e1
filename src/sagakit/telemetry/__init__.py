"""Metrics, traces and logs of an engine, beside its way: the engine knows only that somebody observes it."""

from __future__ import annotations

from sagakit.telemetry.settings import observing
from sagakit.telemetry.telemetry import Telemetry

__all__ = ["Telemetry", "observing"]
