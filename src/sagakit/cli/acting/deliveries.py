"""`sagakit deliveries`: what is still to be handled, and what an operator may do about it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import typer

from sagakit.cli import owner
from sagakit.cli.acting.options import By, Delivery, Payload, Reason
from sagakit.cli.acting.processes import ACT, as_raw, tell
from sagakit.cli.database import reading
from sagakit.cli.failures import Failure
from sagakit.cli.help import Command
from sagakit.cli.looking import standing
from sagakit.cli.looking.places import place
from sagakit.cli.options import After, AsJson, Limit, ReadDatabase
from sagakit.cli.terminal import show, show_json, text
from sagakit.core.commit import DeliveryState
from sagakit.core.queries import DeliveryQuery
from sagakit.server.showing.views import Page

app = typer.Typer(name="deliveries", help="What is still to be handled: look, retry, edit, drop.", no_args_is_help=True)

OfState = Annotated[DeliveryState | None, typer.Option("--state", metavar="STATE", help="ready, retrying, parked, ...")]
OfConsumer = Annotated[str | None, typer.Option("--consumer", metavar="NAME", help="For this consumer.")]
OfMessage = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="With a message of this type.")]
OfError = Annotated[str | None, typer.Option("--error", metavar="TEXT", help="With this in its last error.")]


@app.command("list", cls=Command)
def list_deliveries(
    db: ReadDatabase = "",
    state: OfState = None,
    consumer: OfConsumer = None,
    type: OfMessage = None,
    error: OfError = None,
    limit: Limit = 50,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """What is still to be handled, the oldest first."""
    from sagakit.server.showing.standing import outstanding_view

    (last,) = place(after, 1) or (0,)
    query = DeliveryQuery(state, consumer, type, error=error, limit=limit + 1, after=last)
    found = asyncio.run(_list(db, query))
    rest = str(found[limit - 1].id) if len(found) > limit else None
    page = [outstanding_view(one) for one in found[:limit]]
    if as_json:
        show_json(Page(page, rest))
    else:
        standing.deliveries(page, rest)


@app.command("show", cls=Command)
def show_delivery(number: Delivery, db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """One with its message, and why it stands there."""
    detail = asyncio.run(_show(db, number))
    if as_json:
        show_json(detail)
    else:
        standing.delivery(detail)


@app.command("retry", cls=Command, rich_help_panel=ACT)
def retry(number: Delivery, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Try it now, in a new round of attempts."""
    _act(number, "retry", reason, by, db, as_json=as_json)


@app.command("retry-all", cls=Command, rich_help_panel=ACT)
def retry_all(
    reason: Reason,
    consumer: OfConsumer = None,
    type: OfMessage = None,
    error: OfError = None,
    by: By = "",
    db: ReadDatabase = "",
    as_json: AsJson = False,
) -> None:
    """Retry all that match."""
    wanted = {"consumer": consumer, "type": type, "error": error}
    body = {"reason": reason, "by": by or owner.who(), **{k: v for k, v in wanted.items() if v is not None}}
    done = msgspec.json.decode(owner.post(db, "/api/v1/deliveries/actions/retry", body), type=dict[str, Any])
    if as_json:
        show_json(done)
    else:
        show(text(f"{done['retried']} retried"))
        for id, why in done["failed"].items():
            show(text(f"{id}: {why}"))
    if done["failed"]:
        raise Failure(f"{len(done['failed'])} could not be retried")


@app.command("edit", cls=Command, rich_help_panel=ACT)
def edit(  # noqa: PLR0913, PLR0917 (each is an option)
    number: Delivery,
    reason: Reason,
    payload: Payload,
    message: Annotated[
        str | None, typer.Option("--message", metavar="TYPE", help="Which of several messages it is for.")
    ] = None,
    keep_key: Annotated[bool, typer.Option("--keep-key", help="Send it under the same key.")] = False,
    undo_first: Annotated[
        bool, typer.Option("--undo-first", help="What an attempt did is undone: send it under a new key.")
    ] = False,
    by: By = "",
    db: ReadDatabase = "",
    as_json: AsJson = False,
) -> None:
    """Put another message in its place."""
    details: dict[str, Any] = {"payload": as_raw(payload), "keep_key": keep_key, "undo_first": undo_first}
    if message is not None:
        details["message"] = message
    _act(number, "edit", reason, by, db, as_json=as_json, **details)


@app.command("drop", cls=Command, rich_help_panel=ACT)
def drop(number: Delivery, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Take it away; an undo counts as done."""
    _act(number, "drop", reason, by, db, as_json=as_json)


def _act(number: int, action: str, reason: str, by: str, db: str, *, as_json: bool, **details: Any) -> None:
    body = {"reason": reason, "by": by or owner.who(), **details}
    tell(owner.post(db, f"/api/v1/deliveries/{number}/actions/{action}", body), as_json=as_json)


async def _list(db: str, query: DeliveryQuery) -> list[Any]:
    async with reading(db) as store:
        return await store.find_deliveries(query)


async def _show(db: str, number: int) -> Any:
    """From the engine, which has the code, where one runs; else from the store alone."""
    from sagakit.engine.operating.delivery_explained import explain_delivery
    from sagakit.engine.operating.facts import Gathering
    from sagakit.server.showing.standing import OutstandingDetail, outstanding_detail

    async with reading(db) as store:
        seen = await store.read_owner()
        if seen is not None and seen.url is not None:
            answer = await owner.fetch(seen.url, f"/api/v1/deliveries/{number}")
            if answer is not None:
                return msgspec.json.decode(answer, type=OutstandingDetail)
        found = await store.read_delivery(number)
        if found is None:
            raise Failure(f"there is no delivery {number}: sagakit deliveries list shows them")
        standing_as = await Gathering(store, None, standing.now()).of_delivery(found)
        return outstanding_detail(found, explain_delivery(standing_as, engine=seen is not None))
