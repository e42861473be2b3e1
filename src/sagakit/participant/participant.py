"""A participant: its handlers, and what is made of each command that comes, whichever way it comes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any, Self, TypeVar, overload

import msgspec
from msgspec.structs import replace

from sagakit.core.codec import Codec, Codecs, Upcaster
from sagakit.core.messages import Message, as_messages, pinned, wire_name
from sagakit.core.participation.messages import Known, Led, Reply, Request
from sagakit.errors import InvalidMessage, NotDone, Refused, TerminalError
from sagakit.idempotency import Asked, FastPath
from sagakit.participant.handlers import Handler, read_handler
from sagakit.participant.memory import Memory, Remembering, open_memory

_Function = TypeVar("_Function", bound=Callable[..., Awaitable[Message | None]] | Callable[..., Message | None])

UNDONE_BEFORE = "it was undone before it came"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Reply).decode


class Participant:
    """Handles commands, each once by its id, and answers with what they led to.

    `name`: that of the module whose commands these are; wire names begin with it. `memory`: where it remembers what it
    was asked and has answered, a URL or a `Memory`. `provide`: values that handlers ask for by type. `fast`: answers
    repeats where it can, so that they do not reach the memory; its owner closes it. It is a context: open while it
    works.
    """

    def __init__(
        self,
        name: str,
        *,
        memory: Memory | str,
        provide: Mapping[Any, object] | None = None,
        fast: FastPath | None = None,
    ) -> None:
        self.name = name
        self.memory = open_memory(memory) if isinstance(memory, str) else memory
        self.codecs = Codecs()
        self._provided = dict(provide or {})
        self._fast = fast
        self._upcasters: dict[type, dict[int, Upcaster]] = {}
        self._handlers: dict[str, Handler] = {}
        self._busy: dict[str, asyncio.Lock] = {}

    async def __aenter__(self) -> Self:
        await self.memory.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.memory.close()

    @overload
    def handles(self, function: _Function, /) -> _Function: ...
    @overload
    def handles(self, /) -> Callable[[_Function], _Function]: ...
    def handles(self, function: Any = None, /) -> Any:
        """Handle the commands that the first parameter names; the return annotation names what they lead to.

        Other parameters: `Request`, what is provided by its type, and `connection`: the memory's, in the transaction
        that remembers the answer. What such a handler writes with it, and its answer, stand together or not at all.
        A plain `def` runs in a thread.

        An event of the annotation is the outcome, refusals too. `Refused` says that nothing was done; another
        TerminalError that it failed, and may have been done. Any other error is no answer: the command comes again.
        """
        names = sys._getframe(1).f_locals  # pyright: ignore[reportPrivateUsage]

        def declare(function: Any) -> Any:
            handler = read_handler(function, names, self._provided)
            for cls in (*handler.commands, *handler.outcomes):
                if cls not in self.codecs.by_class:
                    wire, version = pinned(cls) or (wire_name(self.name, cls), 1)
                    self.codecs.add(Codec(cls, wire, version, self._upcasters.get(cls)))
            for cls in handler.commands:
                wire = self.codecs.by_class[cls].name
                if wire in self._handlers:
                    raise TypeError(f"{self.name}: two handlers for {wire}")
                self._handlers[wire] = handler
            return function

        return declare if function is None else declare(function)

    def upcasts(self, message: type[Message], *, version: int) -> Callable[[Upcaster], Upcaster]:
        """Lift payloads of this version (a dict of fields) to the next one: those who send may be older than this."""
        current = (pinned(message) or ("", 1))[1]
        if not 1 <= version < current:
            raise TypeError(
                f"{self.name}: an upcaster lifts {message.__qualname__} from version {version}, but its version is "
                f"{current}: @wire(name, version=) gives it one"
            )

        def declare(upcaster: Upcaster) -> Upcaster:
            self._upcasters.setdefault(message, {})[version] = upcaster
            if message in self.codecs.by_class:
                self.codecs.by_class[message].upcasters[version] = upcaster
            return upcaster

        return declare

    @property
    def commands(self) -> frozenset[str]:
        """The wire names of the commands that it handles."""
        return frozenset(self._handlers)

    # ------------------------------------------------------------------ a command comes

    async def handle(self, request: Request) -> Reply:
        """Do what a command asks, or say again what was answered before. Durable when this returns.

        Raises UnknownMessage for a command of nobody's, and what its handler raises that is no answer: then nothing is
        remembered of an effect in the transaction, and the command is to come again.
        """
        codec = self.codecs.named(request.type)
        handler = self._handlers.get(codec.name)
        if handler is None:
            raise InvalidMessage(f"{request.type} is an event of this participant, not a command")
        # an undo waits for its do, and a command for itself
        async with self._alone(request.undoes or request.id):
            if self._fast is not None:
                return await self._repeated_or_done(self._fast, handler, codec, request)
            return await self._answered(handler, codec, request)

    async def _repeated_or_done(self, fast: FastPath, handler: Handler, codec: Codec, request: Request) -> Reply:
        """A copy of the answer, where there is one; else the answer, of which there is a copy then."""
        digest = blake2b(request.payload, digest_size=16).hexdigest()
        asked = Asked(f"participant {self.name}", codec.name, request.id, digest)
        replies: list[Reply] = []

        async def accept() -> bytes:
            reply = await self._answered(handler, codec, request)
            replies.append(reply)
            if request.undoes is not None and reply.failed is not None:
                raise _NotKept
            return _encode(replace(reply, repeated=False))

        try:
            copy = await fast.once(asked, accept, _always)
        except _NotKept:
            return replies[0]
        return replies[0] if replies else _again(copy)

    async def _answered(self, handler: Handler, codec: Codec, request: Request) -> Reply:
        if handler.connection:
            return await self._together(handler, codec, request)
        return await self._apart(handler, codec, request)

    async def _together(self, handler: Handler, codec: Codec, request: Request) -> Reply:
        """Effect and answer in one transaction."""
        failed: Reply | None = None
        try:
            async with self.memory.transaction(self.name) as remembering:
                known = await self._known(remembering, request)
                if known is not None:
                    return known
                try:
                    reply = await self._done(handler, codec, request, remembering.connection)
                except (TerminalError, NotDone) as error:
                    failed = _failure(request, error)
                    raise _RolledBack from error
                await remembering.remember(request.id, _encode(reply))
                return reply
        except _RolledBack:
            assert failed is not None
        # what it had written is gone; but nobody knows what else it has done
        return await self._remembered(request, failed)

    async def _apart(self, handler: Handler, codec: Codec, request: Request) -> Reply:
        """The effect is outside: that it has begun is remembered first, the answer after it."""
        async with self.memory.transaction(self.name) as remembering:
            known = await self._known(remembering, request)
        if known is not None:
            return known
        try:
            reply = await self._done(handler, codec, request, None)
        except (TerminalError, NotDone) as error:
            reply = _failure(request, error)
        return await self._remembered(request, reply)

    async def _remembered(self, request: Request, reply: Reply) -> Reply:
        """An answer, unless another one was given meanwhile. That an undo failed is not kept: it is tried anew."""
        if request.undoes is not None and reply.failed is not None:
            return reply
        async with self.memory.transaction(self.name) as remembering:
            known = await remembering.recall(request.id)
            if known.reply is not None:
                return _again(known.reply)
            await remembering.remember(request.id, _encode(reply))
        return reply

    async def _known(self, remembering: Remembering, request: Request) -> Reply | None:
        """The answer to a command that nothing is to be done for."""
        known = await remembering.recall(request.id)
        if known.reply is not None:
            return _again(known.reply)
        if known.undone:
            return _reply(request, failed=UNDONE_BEFORE, known_not_done=True)
        if request.undoes is None:
            return None
        do = await remembering.recall(request.undoes)
        if do.new:
            await remembering.mark_undone(request.undoes)
        elif not _left_nothing(do):
            return None
        reply = _reply(request)
        await remembering.remember(request.id, _encode(reply))
        return reply

    async def _done(self, handler: Handler, codec: Codec, request: Request, connection: Any) -> Reply:
        try:
            command = codec.decode(request.payload, request.version)
        except TerminalError as error:  # nothing was begun
            raise Refused(str(error)) from error
        answer = await handler.call(command, request, connection)
        events: list[Led] = []
        for event in as_messages(answer):
            made, payload, _ = self.codecs.seal(event)
            events.append(Led(made.name, msgspec.Raw(payload), made.version))
        return _reply(request, events=events)

    @asynccontextmanager
    async def _alone(self, id: str) -> AsyncGenerator[None]:
        lock = self._busy.setdefault(id, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and not _is_awaited(lock):
                self._busy.pop(id, None)


class _RolledBack(Exception):
    """Ends a transaction whose handler has failed."""


class _NotKept(Exception):
    """Ends a request of whose answer no copy is made: that an undo failed is tried anew."""


async def _always() -> bool:
    """Who has claimed a command may be gone: the memory is asked, which waits for those who are not."""
    return True


def _is_awaited(lock: asyncio.Lock) -> bool:
    return bool(getattr(lock, "_waiters", None))


def _left_nothing(do: Known) -> bool:
    """Whether a command that was heard of has left nothing to undo."""
    return do.undone or (do.reply is not None and _decode(do.reply).known_not_done)


def _reply(request: Request, **said: Any) -> Reply:
    return Reply(causation_id=request.id, correlation_id=request.correlation_id, **said)


def _failure(request: Request, error: Exception) -> Reply:
    reason = error.reason if isinstance(error, NotDone) else f"{type(error).__name__}: {error}".rstrip(": ")
    return _reply(request, failed=reason, known_not_done=isinstance(error, Refused))


def _again(reply: bytes) -> Reply:
    return replace(_decode(reply), repeated=True)
