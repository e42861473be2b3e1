"""The engine's own messages, and what a process manager is told of them."""

from __future__ import annotations

import msgspec
import pytest
from tests.core.messages import A

from sagakit.core.codec import Codecs
from sagakit.core.lifecycle import (
    LIFECYCLE,
    CancelRequested,
    CommandFailed,
    CommandLedToNothing,
    Failed,
    add_lifecycle,
)

RAW = msgspec.Raw(b'{"n":1}')


@pytest.mark.parametrize(
    "message",
    [
        CommandFailed("id", "t.A", 1, RAW, "broken", True),
        CommandLedToNothing("id", "t.A", 1, RAW),
        CancelRequested("by hand"),
    ],
)
def test_they_replay_like_any_other_message(message: object) -> None:
    codecs = Codecs()
    add_lifecycle(codecs)
    codec, payload, sealed = codecs.seal(message)
    assert codec.name == f"sagakit.{type(message).__name__}"
    assert sealed == message
    assert codecs.decode(codec.name, 1, payload) == message
    assert {one.name for one in codecs.by_class.values()} == {f"sagakit.{cls.__name__}" for cls in LIFECYCLE}


def test_a_failure_is_a_value() -> None:
    failed = Failed(A(1), "broken")
    assert failed == Failed(A(1), "broken", False)
    assert failed != Failed(A(1), "broken", True)
    assert failed != Failed(A(2), "broken")
    assert failed != "broken"
    assert len({failed, Failed(A(1), "broken")}) == 1
    assert repr(failed) == "Failed(A(n=1), 'broken', known_not_done=False)"
    match failed:
        case Failed(A(n), reason, known_not_done):
            assert (n, reason, known_not_done) == (1, "broken", False)
        case _:
            pytest.fail("does not match")
