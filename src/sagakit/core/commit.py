"""What a store keeps: messages, deliveries and process rows, and the Commit that changes them together.

Times are microseconds since 1970 (UTC). Positions, delivery ids and instance numbers are 0 until the store
has committed the object; the store then sets them in place, so that nothing is read back.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["command", "event"]
DeliveryState: TypeAlias = Literal["ready", "scheduled", "retrying", "parked"]
Status: TypeAlias = Literal[
    "running", "undoing", "parked", "compensation_failed", "completed", "compensated", "abandoned"
]
ItemState: TypeAlias = Literal["sent", "done", "failed", "undoing", "undone", "undo_failed"]
PauseScope: TypeAlias = Literal["all", "module", "process", "instance"]
Cause: TypeAlias = Literal["", "refused", "failed", "timed_out", "cancelled"]

ENDED: frozenset[Status] = frozenset({"completed", "compensated", "abandoned"})


class Envelope(Struct, gc=False):
    """A message as the log holds it."""

    id: str
    kind: Kind
    type: str
    payload: bytes
    correlation_id: str
    recorded_at: int
    version: int = 1
    causation_id: str | None = None
    sender: str | None = None
    """The instance that sent this command and is told its outcome. Of an event: the process that published it while
    it handled a command; such an event is no outcome of that command."""
    undoes: str | None = None
    """The id of the command that this command undoes; "" where it undoes the process as a whole; else None."""
    trace: str | None = None
    """A W3C traceparent."""
    stream: str | None = None
    stream_version: int | None = None
    expected_version: int | None = None
    """The version of the aggregate that the sender of this command has seen."""
    position: int = 0
    message: Any = None
    """The decoded message, while it is known; no store keeps it."""


class Delivery(Struct, gc=False):
    """A message that is still to be handled by one consumer: the row is the fence."""

    envelope: Envelope
    consumer: str
    lane: str
    id: int = 0
    state: DeliveryState = "ready"
    due_at: int = 0
    attempt: int = 1
    crashes: int = 0
    error: str | None = None
    more: tuple[Envelope, ...] = ()
    """The rest of an outcome of several events: the messages that follow `envelope` in the log."""
    spent: int = 0
    """Attempts that were made before an operator had it tried anew: they do not count any more."""
    partition: int = -1
    """Where it has its home, if not in the partition that its lane's name leads to (-1)."""


class Fence(Struct, frozen=True, gc=False):
    """The delivery that a Commit finishes or changes, at the attempt that it ran as."""

    delivery: int
    attempt: int


class DeliveryChange(Struct, frozen=True, gc=False):
    """A delivery that stays, in another state. Also a fence."""

    fence: Fence
    state: DeliveryState
    attempt: int
    due_at: int = 0
    crashes: int = 0
    error: str | None = None
    spent: int | None = None
    """None: as before."""
    envelope: Envelope | None = None
    """A message of the same Commit, or of the log, that takes the place of the one that it had; None: no other."""
    more: tuple[Envelope, ...] = ()
    """The rest of an outcome, as `Delivery.more`; counts where `envelope` is given."""


class Instance(Struct, gc=False):
    """The hot row of a process instance. `version` counts its reactions."""

    id: str
    type: str
    key: str
    definition: int
    version: int
    status: Status
    state: bytes
    number: int = 0


class InstanceWrite(Struct, gc=False):
    """Write this row if the stored one is at `expected` (0: if there is none)."""

    row: Instance
    expected: int


class Search(Struct, gc=False):
    """What people look for in an instance; written when it changes, not at every reaction.

    Its type, key and correlation id are those that were written first.
    """

    instance: str
    type: str
    key: str
    status: Status
    correlation_id: str
    started_at: int
    updated_at: int
    ended_at: int | None = None
    cause: Cause = ""
    reason: str = ""
    trace_id: str | None = None
    attributes: bytes = b"{}"


class Reaction(Struct, gc=False):
    """One entry of an instance's history: `inputs` led to `outputs`; each list is contiguous in the log."""

    instance: Instance
    version: int
    inputs: tuple[Envelope, ...]
    outputs: tuple[Envelope, ...]
    status: Status = "running"
    """The status and the state after it, for those who watch; no store keeps them, only the last ones in the row."""
    state: bytes = b""


class Inbox(Struct, gc=False):
    """The door's memory of one request."""

    scope: str
    key: str
    digest: str
    answer: bytes
    expires_at: int | None = None


class Snapshot(Struct, gc=False):
    """An aggregate's state at a version of its stream, written by a version of its code."""

    stream: str
    version: int
    code: str
    state: bytes


class Subscription(Struct, frozen=True, gc=False):
    """Which consumer takes which message type, since which position.

    What `kind` and `key` say lets workers without the consumer's code put deliveries into its lanes. Only a store
    with a cluster keeps them.
    """

    consumer: str
    type: str
    since: int = 0
    kind: str = ""
    """What kind of consumer it is, as the engine's routing tells them apart."""
    key: str = ""
    """The path of the message's field that is the key; "": it has none."""


class Item(Struct, gc=False):
    """One item of a batch: a row of its own, so that an instance's state does not grow with its items."""

    instance: str
    step: int
    """The ordinal of the batch in its instance."""
    index: int
    """The place of the item in its batch, from 0."""
    item: bytes
    """The item itself, as JSON."""
    command_id: str
    command: bytes
    """The command that was sent for it, recorded (type, version, payload) as JSON."""
    state: ItemState = "sent"
    reason: str = ""
    """Why it failed, or why its undo failed."""
    undo: bytes = b""
    """What undoes it, recorded as `command` is; empty: nothing does."""


class Pause(Struct, frozen=True, gc=False):
    """What stands still until somebody resumes it. `name`: instance id, process or module name; "" for all."""

    scope: PauseScope
    name: str
    by: str
    reason: str
    since: int


class Checkpoint(Struct, frozen=True, gc=False):
    """How far a reader of the log has come; written if it stood at `expected`."""

    consumer: str
    position: int
    expected: int = 0


class Commit(Struct, gc=False):
    """Everything that one handling changes: written whole, or not at all."""

    done: list[Fence] = []
    """Deliveries that are finished: each must still be there, at this attempt."""
    changes: list[DeliveryChange] = []
    messages: list[Envelope] = []
    """New messages, in the order of the log. One with a stream must be the next version of it."""
    deliveries: list[Delivery] = []
    """New deliveries, of messages above or of ones that are in the log already."""
    withdrawn: list[int] = []
    """Deliveries that a process gave up: removed if they are still there; no fence."""
    forgotten: list[str] = []
    """Message ids of scheduled deliveries that are not wanted any more: removed if they are still there; no fence."""
    instances: list[InstanceWrite] = []
    search: list[Search] = []
    reactions: list[Reaction] = []
    inbox: list[Inbox] = []
    items: list[Item] = []
    """Rows of batches, new ones and those that have changed."""
    pauses: list[Pause] = []
    """What stands still from now on; one that stands already keeps its place and takes the new words."""
    resumed: list[tuple[PauseScope, str]] = []
    """Pauses that end."""
    snapshots: list[Snapshot] = []
    checkpoints: list[Checkpoint] = []
    routing: int = 0
    """The version of the subscriptions that its messages were routed by; 0: it does not matter."""


class Rejected(Struct, frozen=True):
    """Why a Commit was dropped whole.

    gone: a delivery is no longer there, or at another attempt. conflict: a stream, an instance or a checkpoint is
    not at the expected version, or (`what` is "routing") new subscriptions stand since it was routed.
    repeated: the inbox knows the key already (`inbox` is what it remembers).
    """

    why: Literal["gone", "conflict", "repeated"]
    what: str
    inbox: Inbox | None = None


class History(Struct, frozen=True):
    """A reaction as it is read back, with its messages."""

    version: int
    inputs: tuple[Envelope, ...]
    outputs: tuple[Envelope, ...]
