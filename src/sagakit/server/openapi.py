"""The OpenAPI document of the API, made of its routes; each command with the schema of its class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig

from sagakit.engine.engine import Engine
from sagakit.server.links import root_of
from sagakit.server.routes.commands import PATH as COMMANDS

PATH = "/schema/openapi.json"
PATTERN = r'"^[+-]?(\\d+(\\.\\d*)?|\\.\\d+)([eE][+-]?\\d+)?$"'
DECIMAL = ('"format":"decimal"', f'"format":"decimal","pattern":{PATTERN}')
"""A format that no standard knows, in words that all know."""
_COMPONENTS = "#/components/schemas/{name}"


def openapi(engine: Engine, routes: Sequence[HTTPRouteHandler]) -> HTTPRouteHandler:
    """`GET /schema/openapi.json`."""

    @cache
    def document() -> dict[str, Any]:
        return _document(engine, routes)

    @get(PATH, include_in_schema=False)
    async def show(request: Request[Any, Any, Any]) -> Response[bytes]:
        served = {**document(), "servers": [{"url": root_of(request) or "/"}]}
        return Response(msgspec.json.encode(served), media_type="application/vnd.oai.openapi+json")

    return show


def _document(engine: Engine, routes: Sequence[HTTPRouteHandler]) -> dict[str, Any]:
    config = OpenAPIConfig(
        title=engine.topology.app, version=version("sagakit"), description="Durable processes, by sagakit."
    )
    described = Litestar(list(routes), openapi_config=config, logging_config=None)
    # as JSON and back: what Litestar keeps may hold its own types
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(described.openapi_schema.to_schema()))
    _name_commands(engine, found)
    return found


def _name_commands(engine: Engine, found: dict[str, Any]) -> None:
    """Each command by its own path, with its own fields, in place of the one path for all."""
    template = found["paths"].pop(f"{COMMANDS}/{{name}}")["post"]
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for cls in sorted(engine.topology.commands, key=lambda one: engine.topology.codecs.by_class[one].name):
        name = engine.topology.codecs.by_class[cls].name
        operation = {
            **template,
            "summary": f"Send {name}",
            "operationId": f"send.{name}",
            "parameters": [one for one in template.get("parameters", ()) if one.get("in") != "path"],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _schema(cls, schemas)}}},
        }
        found["paths"][f"{COMMANDS}/{name}"] = {"post": operation}


def _schema(cls: type, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of a class; where it is none that msgspec can describe, any object."""
    try:
        (schema,), components = msgspec.json.schema_components([cls], ref_template=_COMPONENTS)
    except (TypeError, msgspec.MsgspecError):
        return {"type": "object"}
    # other classes of the same name may be there: each command's parts are its own
    own = {name: f"{cls.__module__}.{cls.__qualname__}.{name}" for name in components}
    text = msgspec.json.encode([schema, components]).decode().replace(*DECIMAL)
    for name, unique in own.items():
        text = text.replace(f'"{_COMPONENTS.format(name=name)}"', f'"{_COMPONENTS.format(name=unique)}"')
    schema, components = msgspec.json.decode(text)
    schemas.update({own[name]: component for name, component in components.items()})
    return schema
