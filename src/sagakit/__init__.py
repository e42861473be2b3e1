"""Durable business processes: commands, events, processes and their compensation, in one commit."""

from sagakit.app import App, BlockingEngine
from sagakit.core.decider import ONE, Loaded
from sagakit.core.lifecycle import (
    Cancelled,
    CommandParked,
    CompensationFailed,
    DeadlineNear,
    Failed,
    ProcessParked,
    ProcessSettled,
)
from sagakit.core.limiting.limits import AtOnce, Rate
from sagakit.core.messages import Later, Message, stable_id, wire
from sagakit.core.process_manager.answers import End, Forget, Remind, Undoing
from sagakit.core.retry import Retry
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.compensation import Undo
from sagakit.core.saga.each import Each
from sagakit.core.saga.operations import Saga
from sagakit.core.saga.step_saga import Step, StepSaga
from sagakit.core.saga.timing.deadline import Deadline
from sagakit.declare import Module
from sagakit.engine.engine import Engine
from sagakit.engine.handlers.context import Context
from sagakit.engine.inbox import Receipt
from sagakit.engine.watching.updates import Update
from sagakit.errors import (
    Busy,
    CursorGone,
    DeclarationError,
    InvalidMessage,
    KeyInFlight,
    KeyReused,
    NotDone,
    NotFound,
    NotPossible,
    OutcomeUnknown,
    PayloadTooLarge,
    Refused,
    RetryableError,
    StaleVersion,
    Stopping,
    StoreFailed,
    StoreUnusable,
    TerminalError,
    TimedOut,
    UnknownMessage,
    WaitTimeout,
)
from sagakit.ports import Doors, Link

__all__ = [
    "App",
    "AtOnce",
    "BlockingEngine",
    "Busy",
    "Cancelled",
    "CodeSaga",
    "CommandParked",
    "CompensationFailed",
    "Context",
    "CursorGone",
    "Deadline",
    "DeadlineNear",
    "DeclarationError",
    "Doors",
    "Each",
    "End",
    "Engine",
    "Failed",
    "Forget",
    "InvalidMessage",
    "KeyInFlight",
    "KeyReused",
    "Later",
    "Link",
    "Loaded",
    "Message",
    "Module",
    "NotDone",
    "NotFound",
    "NotPossible",
    "ONE",
    "OutcomeUnknown",
    "PayloadTooLarge",
    "ProcessParked",
    "ProcessSettled",
    "Rate",
    "Receipt",
    "Refused",
    "Remind",
    "Retry",
    "RetryableError",
    "Saga",
    "StaleVersion",
    "Step",
    "StepSaga",
    "Stopping",
    "StoreFailed",
    "StoreUnusable",
    "TerminalError",
    "TimedOut",
    "Undo",
    "Undoing",
    "UnknownMessage",
    "Update",
    "WaitTimeout",
    "stable_id",
    "wire",
]
