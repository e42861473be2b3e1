"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

import typer

from sagakit.core.commit import Status

_DB = "A file, or a URL such as sqlite:///shop.db."


def _database(more: str = "", *, variable: str | None = "SAGAKIT_DB") -> object:
    return typer.Option(
        "--db", envvar=variable, metavar="PATH_OR_URL", help=f"{_DB} {more}".strip(), show_default=False
    )


Database: TypeAlias = Annotated[str, _database()]
DemoDatabase: TypeAlias = Annotated[str, _database("Without it: a file of the demo's own, kept.", variable=None)]
BenchDatabase: TypeAlias = Annotated[str, _database("A new one, kept. Without it: one for the while.", variable=None)]
ReadDatabase: TypeAlias = Annotated[str, _database("Without it: the demo's own.")]

Id: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="Its id; its key will do where only one has it.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON.")]
After: TypeAlias = Annotated[
    str | None, typer.Option("--next", "--after", metavar="TOKEN", help="The page after: the token that came with it.")
]
Limit: TypeAlias = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")]

OfType: TypeAlias = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Of this type, such as orders.fulfil_order.")
]
AnyStatus: TypeAlias = Literal[
    "live", "running", "undoing", "parked", "compensation_failed", "completed", "compensated", "abandoned"
]
OfStatus: TypeAlias = Annotated[
    AnyStatus | None,
    typer.Option(
        "--status", metavar="STATUS", help=f"In this status: {', '.join(get_args(Status))}; or live: not ended."
    ),
]
OfKey: TypeAlias = Annotated[str | None, typer.Option("--key", metavar="KEY", help="With this key.")]
OfTrace: TypeAlias = Annotated[str | None, typer.Option("--trace", metavar="ID", help="Of this trace id.")]

OfAttribute: TypeAlias = Annotated[
    list[str] | None, typer.Option("--attribute", metavar="NAME=VALUE", help="With this attribute; may be repeated.")
]

AppName: TypeAlias = Annotated[
    str, typer.Argument(metavar="MODULE:APP", help="The app, such as shop.app:shop, as seen from this folder.")
]
Port: TypeAlias = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")
]
Idempotency: TypeAlias = Annotated[
    str,
    typer.Option(
        "--idempotency",
        envvar="SAGAKIT_IDEMPOTENCY",
        metavar="URL",
        help="Keep copies of answers to idempotency keys in Redis or Valkey, such as redis://localhost:6379/0.",
        show_default=False,
    ),
]
DemoPort: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="N",
        min=0,
        max=65535,
        help="The port on 127.0.0.1; 0 takes a free one. Default 8080, or the service's own.",
        show_default=False,
    ),
]
ShopService: TypeAlias = Annotated[
    Literal["gateway", "inventory", "payment", "order"] | None,
    typer.Option("--service", metavar="NAME", help="Only this part of the shop: gateway, inventory, payment or order."),
]
ShopAddresses: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--at", metavar="NAME=HOST:PORT", help="Where another part of the shop is; may be repeated."),
]
Workers: TypeAlias = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, max=256, help="So many processes, on PostgreSQL.")
]
ShopBroker: TypeAlias = Annotated[
    str,
    typer.Option(
        "--kafka",
        metavar="URL",
        help="The parts of the shop speak over this broker, such as kafka://localhost:9092, instead of gRPC.",
        show_default=False,
    ),
]
LeaveUnclaimed: TypeAlias = Annotated[
    bool, typer.Option("--leave-unclaimed", help="Start although nobody claims some messages.")
]
LogFormat: TypeAlias = Annotated[
    Literal["console", "json"],
    typer.Option("--log-format", envvar="SAGAKIT_LOG_FORMAT", help="Log lines for people, or JSON."),
]
LogLevel: TypeAlias = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    typer.Option("--log-level", envvar="SAGAKIT_LOG_LEVEL", help="Log nothing below this."),
]
