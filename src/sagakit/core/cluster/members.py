"""What workers on one store know of one another. Times are microseconds since 1970, by the store's own clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from msgspec import Struct

from sagakit.core.commit import Subscription

Owned: TypeAlias = Mapping[str, Collection[int]]
"""Consumers, and partitions of each."""


WITHDRAW = "sagakit.withdraw"
"""The consumer of what stands for a command that was given up while another worker had it: it carries that command."""
OPERATOR = "sagakit.operator"
"""The consumer of what an operator asks of the worker that owns what it is about."""
BESIDE = (WITHDRAW, OPERATOR)
"""Consumers of the engine's own: who owns what their deliveries are about carries them out."""


class Worker(Struct, gc=False):
    """One engine on a store that several share. Its row is its fence: once it is gone, the engine writes nothing."""

    id: str
    """Told once: an engine that is started again is another worker."""
    name: str = ""
    host: str = ""
    pid: int = 0
    app: str = ""
    versions: str = ""
    """Which code it runs, in words, for people."""
    url: str | None = None
    """Where its HTTP door is, if it has one."""
    declares: tuple[str, ...] = ()
    """The consumers that it has code for; none: it only sends."""
    lasts: int = 10_000_000
    """Microseconds that its lease lasts from each renewal."""
    joined_at: int = 0
    renewed_at: int = 0
    expires_at: int = 0
    """The store sets these three."""


class Claim(Struct, frozen=True, gc=False):
    """A partition of a consumer that is owned from now on."""

    consumer: str
    partition: int
    clean: bool
    """Whether the one who had it before ended with nothing running. If not, what is outstanding in it is suspect."""


class Lease(Struct, frozen=True, gc=False):
    """Who owns a partition of a consumer; None: nobody does."""

    consumer: str
    partition: int
    worker: str | None
    clean: bool


class Unclaimed(Struct, frozen=True, gc=False):
    """Work that nobody will do as things stand."""

    consumer: str
    deliveries: int


class Notice(Struct, frozen=True, gc=False):
    """A word to other workers, sent after what it speaks of is durable. It may get lost: polls stand behind it."""

    kind: str
    """One word; what it means is between the workers."""
    about: tuple[str, ...] = ()
    to: str | None = None
    """The worker that it is for; None: all but the sender."""
    sender: str = ""
    """The worker that sends it; set by the store."""


class Routes(Struct, frozen=True, gc=False):
    """The subscriptions by which Commits are routed, and their version.

    It grows with each new one, and whenever somebody joins others: they know of him by their next Commit.
    """

    version: int
    subscriptions: tuple[Subscription, ...]
