"""The rows of a batch's items, and the commands that go out for them."""

from __future__ import annotations

from typing import Any

import msgspec

from sagakit.core.bugs import bug_of
from sagakit.core.commit import Item
from sagakit.core.process import Output, Surroundings
from sagakit.core.saga.batch import item_id
from sagakit.core.saga.batches.fan import Fan
from sagakit.core.saga.compensation import CANCEL_CHILD, Recorded, cancel_of
from sagakit.core.saga.writing import Writing
from sagakit.errors import ProcessBug, TerminalError, UnknownMessage

LONGEST_REASON = 500

_recorded = msgspec.json.Decoder(Recorded).decode
_encode = msgspec.json.Encoder(enc_hook=repr).encode
"""An item is kept for people to look at: its command says what is done with it."""


class SentUndo(Recorded, frozen=True, gc=False):
    """An undo as it was sent: with its message id."""

    id: str = ""
    cancels: bool = False
    """What went out has cancelled the child that the item's command started; the undo itself has not gone out."""


_sent_undo = msgspec.json.Decoder(SentUndo).decode


class Rows:
    """Sends items and their undos, and writes their rows."""

    def __init__(self, around: Surroundings, writing: Writing, instance: str) -> None:
        self._around, self._writing, self._instance = around, writing, instance

    def send(self, fan: Fan, index: int, item: Any) -> None:
        """An item's command goes out, and its undo is recorded. Raises ProcessBug where they cannot be built."""
        asked, record = fan.asked, fan.record
        assert asked is not None
        id = item_id(fan.do_mark, record.round, index)
        with self._writing.item(f"{record.step}|{index}"):
            try:
                output = self._writing.item_command(id, asked.command(item))
                undo = b"" if asked.undo is None else self._undo_of(asked.undo(item))
            except TerminalError as error:
                raise ProcessBug(f"saga.each, item {index}: {error}") from error
            except Exception as error:
                raise ProcessBug(f"saga.each, item {index}: {bug_of(error, None)}") from error
        command = _encode(Recorded(output.type, output.version, msgspec.Raw(output.payload)))
        row = Item(self._instance, record.step, index, _encode(item), id, command, undo=undo)
        if not record.command:
            record.command, record.undo = output.type, _recorded(undo).type if undo else ""
        fan.rows[index] = row
        record.out.append(index)
        self.write(row)

    def _undo_of(self, command: Any) -> bytes:
        codec, payload, _ = self._around.codecs.seal(command)
        if not self._around.handled(codec.cls):
            raise UnknownMessage(f"nobody handles the command {codec.name}")
        return _encode(Recorded(codec.name, codec.version, msgspec.Raw(payload)))

    def send_again(self, fan: Fan, row: Item) -> None:
        """The command of an item that failed goes out once more, as it was recorded, under a new id."""
        id = item_id(fan.do_mark, fan.record.round, row.index)
        self._resend(id, row.command, None)
        row.command_id, row.state, row.reason = id, "sent", ""
        fan.rows[row.index] = row
        fan.record.out.append(row.index)
        self.write(row)

    def send_undo(self, fan: Fan, row: Item, number: int) -> None:
        """The undo of an item goes out."""
        id = item_id(fan.undo_mark, number, row.index)
        self._resend(id, row.undo, row.command_id)
        undo = _recorded(row.undo)
        row.undo = _encode(SentUndo(undo.type, undo.version, undo.payload, id))
        row.state = "undoing"
        fan.rows[row.index] = row
        fan.record.undoing[row.index] = number
        self.write(row)

    def send_cancel(self, fan: Fan, row: Item, number: int) -> None:
        """The child that the command of an item started is to be undone. Its end is the answer."""
        id = item_id(fan.undo_mark, number, row.index)
        cancel = cancel_of(row.command_id, self.child_of(row), row.reason)
        self._resend(id, _encode(cancel), row.command_id)
        undo = _recorded(row.undo) if row.undo else cancel
        row.undo = _encode(SentUndo(undo.type, undo.version, undo.payload, id, cancels=True))
        row.state = "undoing"
        fan.rows[row.index] = row
        fan.record.undoing[row.index] = number
        self.write(row)

    def child_of(self, row: Item) -> str:
        """The lane of the instance that the command of an item starts; "" if it starts none."""
        if not self._around.children:
            return ""
        command = _recorded(row.command)
        if not self.starts_child(command.type):
            return ""
        return self._around.child(self._around.codecs.decode(command.type, command.version, bytes(command.payload)))

    def starts_child(self, type: str) -> bool:
        """Whether a command of this wire name starts a process."""
        codec = self._around.codecs.by_name.get(type)
        return codec is not None and codec.cls in self._around.children

    def is_cancelling(self, row: Item) -> bool:
        """Whether what is out for an item cancels its child."""
        return row.state == "undoing" and _sent_undo(row.undo).cancels

    def has_undo(self, row: Item) -> bool:
        """Whether there is an undo of the item's own."""
        return bool(row.undo) and _recorded(row.undo).type != CANCEL_CHILD

    def withdraw_undo(self, row: Item) -> None:
        """Another one takes the place of the undo that was sent."""
        sent = _sent_undo(row.undo).id
        if sent:
            self._writing.withdraw(sent)

    def settle(self, fan: Fan, row: Item) -> None:
        """Nothing of this item is in flight any more."""
        fan.rows.pop(row.index, None)
        self.write(row)

    def write(self, row: Item) -> None:
        """A row is new, or has changed."""
        self._writing.reacted.items.append(row)

    def command_class(self, row: Item) -> type:
        """The class of an item's command."""
        codec = self._around.codecs.by_name.get(_recorded(row.command).type)
        return type(None) if codec is None else codec.cls  # its class may be gone from the app

    def _resend(self, id: str, recorded: bytes, undoes: str | None) -> None:
        command = _recorded(recorded)
        payload = bytes(command.payload)
        message = self._around.codecs.decode(command.type, command.version, payload)
        self._writing.reacted.outputs.append(
            Output(id, "command", command.type, command.version, payload, message, undoes)
        )


def short(reason: str) -> str:
    """A reason as a row keeps it."""
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 1] + "…"
