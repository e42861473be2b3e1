"""Which process managers keep their commands: those that may undo one."""

from __future__ import annotations

from typing import Any

from tests.core.managers import CAREFUL

from sagakit.core.process_manager.mentions import mentions_undoing


def test_undoing_is_found_wherever_it_is_used() -> None:
    namespace: dict[str, Any] = {"__name__": "plain"}
    exec(PLAIN, namespace)
    tracks: Any = mentions_undoing
    assert not tracks(namespace["Plain"])
    assert tracks(namespace["ByAttribute"])
    assert tracks(namespace["InAHelper"])
    assert tracks(namespace["NestedDeep"])
    assert tracks(namespace["InAFunction"])
    assert tracks(namespace["Inherited"])
    assert tracks(CAREFUL.cls)


PLAIN = """
import sagakit.core.process_manager.answers as kit

class Plain:
    def react(self, event):
        return None

class ByAttribute:
    def react(self, event):
        return kit.Undoing(event, of=event)

class InAHelper:
    def react(self, event):
        return self.back(event)
    def back(self, event):
        return kit.Undoing(event, of=event)

class Inherited(InAHelper):
    def react(self, event):
        return None

def back(event):
    return Renamed(event, of=event)

Renamed = kit.Undoing

class InAFunction:
    def react(self, event):
        return back(event)

class NestedDeep:
    def react(self, event):
        return [one() for one in (lambda: kit.Undoing(event, of=event),)]
"""
