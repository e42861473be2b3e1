"""The composition root: checks what modules declare, and joins it to an engine and a store."""

from sagakit.app.app import App
from sagakit.app.blocking import BlockingEngine

__all__ = ["App", "BlockingEngine"]
