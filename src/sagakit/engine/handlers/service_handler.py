"""Service handlers, listeners and forwarders: the user's functions, with what they ask for, and what they answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from types import CoroutineType
from typing import Any

from sagakit.core.commit import Delivery, Envelope, Rejected
from sagakit.core.messages import Later, as_messages, derived_id
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.aggregate_handler import AggregateHandler
from sagakit.engine.handlers.context import Context
from sagakit.engine.handlers.failures import Failures
from sagakit.engine.handlers.providers import Providers
from sagakit.engine.handlers.runs import Run, Runs
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.routing import Router
from sagakit.engine.time.timers import Timers
from sagakit.engine.topology import ServiceConsumer
from sagakit.errors import HandlerTimeout, StoreUnusable
from sagakit.observer import Observer


class Withdrawn(Exception):
    """The step of this handler was given up while it ran."""


class Interrupted(Exception):
    """A handler let a cancellation out that nobody had asked for."""


class ServiceHandler:
    """Runs the user's functions, outside any transaction."""

    def __init__(
        self,
        router: Router,
        aggregates: AggregateHandler,
        providers: Providers,
        failures: Failures,
        runs: Runs,
        timers: Timers,
        submit: Callable[[Draft], None],
        threads: Executor,
    ) -> None:
        self._router = router
        self._codecs = router.topology.codecs
        self._clock = router.clock
        self._aggregates = aggregates
        self._providers = providers
        self._failures = failures
        self._runs = runs
        self._timers = timers
        self._submit = submit
        self._threads = threads
        self.handed_over: Callable[[Delivery], None] = lambda delivery: None
        """Told of each command that waits for the answer of a participant from now on."""
        self.calling = 0
        """Users' functions that run at the moment."""
        self.observer: Observer | None = None
        self.ended: Callable[[Lane, Run], None] = lambda lane, run: None
        """Told of each handling that has ended in a lane with a ticket."""
        self._arguments: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {}

    async def handle(self, lane: Lane, consumer: ServiceConsumer) -> None:
        """Run the head of a lane, and commit what it led to."""
        delivery = lane.queue[0]
        envelope = delivery.envelope
        handles = consumer.role == "handler"
        run = self._runs.begin(envelope) if handles else Run()
        run.worker = lane.worker
        try:
            made = await self._made(consumer, delivery, run)
        except Withdrawn:  # the Commit that gave it up has deleted its delivery
            self._done(lane, delivery)
        except StoreUnusable:
            raise
        except Exception as error:  # the user's code: any error is the delivery's
            await self._failures.failed(lane, delivery, error, consumer.retries)
        else:
            draft = Draft(self._settled, (lane, delivery, isinstance(made, Later)))
            draft.finish(delivery)
            try:
                if isinstance(made, Later):
                    self._router.handed_over(draft, envelope, consumer.name, delivery.attempt, made.to)
                elif handles:
                    await self._router.outcome(draft, envelope, made)
                else:
                    await self._route(draft, consumer, made)
            except BaseException:
                self._router.processes.abandon(draft)
                raise
            self._submit(draft)
        finally:
            if handles and not run.left_behind:
                self._runs.end(envelope.id)
            if lane.ticket is not None:
                self.ended(lane, run)

    async def _made(self, consumer: ServiceConsumer, delivery: Delivery, run: Run) -> list[Envelope] | Later:
        """Call the user's function; what it answers, as the log will hold it."""
        envelope = delivery.envelope
        if envelope.message is None:
            envelope.message = self._codecs.decode(envelope.type, envelope.version, envelope.payload)
        observed = None if self.observer is None else self.observer.run(delivery, consumer.name)
        if observed is not None:
            run.trace = observed.trace
        failure: BaseException | None = None
        self.calling += 1
        try:
            answer = self._call(consumer, delivery, run)
            if answer.__class__ is CoroutineType:
                answer = await answer
        except BaseException as error:
            failure = error
            raise
        finally:
            self.calling -= 1
            if observed is not None:
                observed.end(failure)
        if answer.__class__ is Later and consumer.role == "handler":
            return answer
        now = self._clock.now()
        make = self._command if consumer.role == "listener" else self._router.envelope
        messages, name = as_messages(answer), consumer.name
        if len(messages) == 1:
            return [make(envelope, name, 0, messages[0], now)]
        return [make(envelope, name, index, message, now) for index, message in enumerate(messages)]

    async def _route(self, draft: Draft, consumer: ServiceConsumer, made: list[Envelope]) -> None:
        draft.commit.messages.extend(made)
        if consumer.role == "listener":
            await self._router.commands(draft, made)
        else:
            await self._router.published(draft, made)

    def _command(self, cause: Envelope, consumer: str, index: int, message: Any, now: int) -> Envelope:
        codec, payload, sealed = self._codecs.seal(message)
        self._router.check_handled(codec)
        return Envelope(
            derived_id(cause.id, consumer, index),
            "command",
            codec.name,
            payload,
            cause.correlation_id,
            now,
            codec.version,
            cause.id,
            trace=cause.trace,
            message=sealed,
        )

    def _settled(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, delivery, later = draft.subject
        if later and result is None:
            self.handed_over(delivery)
        if result is None or (isinstance(result, Rejected) and result.why == "gone"):
            self._done(lane, delivery)
        elif isinstance(result, Rejected):
            self._failures.lanes.release(lane)  # a process has moved on: run again, at least once towards the world

    def _done(self, lane: Lane, delivery: Delivery) -> None:
        self._failures.lanes.remove_head(lane, delivery)
        self._failures.lanes.release(lane)

    # ------------------------------------------------------------------ calling

    def _call_arguments(self, consumer: ServiceConsumer) -> tuple[dict[str, object], tuple[str, ...]]:
        known = self._arguments.get(consumer.name)
        if known is None:
            contexts = tuple(name for name, wanted in consumer.asks.items() if wanted is Context)
            known = self._arguments[consumer.name] = (self._providers.values(consumer.asks), contexts)
        return known

    def _call(self, consumer: ServiceConsumer, delivery: Delivery, run: Run) -> Any:
        """The answer, or a coroutine that gives it."""
        provided, contexts = self._call_arguments(consumer)
        if contexts:
            context = Context(delivery, self._aggregates.load_by_key, consumer.timeout, run.trace)
            provided = {**provided, **dict.fromkeys(contexts, context)}
        message = delivery.envelope.message
        if consumer.threaded or consumer.timeout is not None:
            return self._apart(consumer, message, provided, run, delivery.envelope.id)
        answer = consumer.function(message, **provided)
        if answer.__class__ is not CoroutineType and not inspect.isawaitable(answer):
            return answer
        return self._here(answer, run)

    async def _here(self, steps: Awaitable[Any], run: Run) -> Any:
        """Run a coroutine in the worker's own task; its step may be given up meanwhile."""
        worker = run.worker or asyncio.current_task()
        assert worker is not None
        run.cancel = worker.cancel
        answer: Any = None
        try:
            answer = await steps
        except asyncio.CancelledError as cancelled:
            if not run.withdrawn:
                if worker.cancelling():  # the engine stops
                    raise
                raise Interrupted("the handler was cancelled from inside") from cancelled
        except Exception:
            if not run.withdrawn:
                raise
        finally:
            run.cancel = None
            if run.cancelled:
                worker.uncancel()
        if run.withdrawn:
            raise Withdrawn
        return answer

    async def _apart(
        self, consumer: ServiceConsumer, message: Any, provided: dict[str, object], run: Run, message_id: str
    ) -> Any:
        """Run in a task or thread of its own, so that it can be left behind when its time is up."""
        future = self._start(consumer, message, provided, run)
        in_time = False
        try:
            in_time = await self._in_time(future, consumer)
        finally:
            if not in_time:  # or the engine stops
                if run.cancel is not None:
                    run.cancel()
                self._runs.leave_behind(message_id, run, future)
        if not in_time:
            if run.withdrawn:
                raise Withdrawn
            raise HandlerTimeout(f"no answer within {consumer.timeout:g} s")
        run.cancel = None
        if run.withdrawn:
            if not future.cancelled():
                future.exception()  # retrieved: it is nobody's any more
            raise Withdrawn
        if future.cancelled():
            raise Interrupted("the handler was cancelled from inside")
        return future.result()

    async def _in_time(self, future: asyncio.Future[Any], consumer: ServiceConsumer) -> bool:
        """Wait for the end of a run, or of its time."""
        done = asyncio.get_running_loop().create_future()

        def wake(_: object = None) -> None:
            if not done.done():
                done.set_result(None)

        future.add_done_callback(wake)
        timer = None
        if consumer.timeout is not None:
            timer = self._timers.at(self._clock.now() + int(consumer.timeout * 1_000_000), wake)
        try:
            await done
        finally:
            if timer is not None:
                timer.cancel()
        return future.done()

    def _start(
        self, consumer: ServiceConsumer, message: Any, provided: dict[str, object], run: Run
    ) -> asyncio.Future[Any]:
        if not consumer.threaded:
            task = asyncio.ensure_future(consumer.function(message, **provided))
            run.cancel = task.cancel
            return task

        def call() -> Any:
            try:
                return consumer.function(message, **provided)
            except StopIteration as error:  # no future can hold one
                raise RuntimeError(f"StopIteration: {error}") from error

        thread = self._threads.submit(copy_context().run, call)  # logs and spans know there whose they are
        run.cancel = thread.cancel  # ends only what has not begun
        return asyncio.wrap_future(thread)
