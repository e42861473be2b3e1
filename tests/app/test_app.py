"""An app is its modules, read once; its engine runs until its context ends."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from sagakit import App, DeclarationError, Engine, Module, PayloadTooLarge, Stopping, StoreUnusable
from sagakit.engine.limits import Limits


@dataclass(frozen=True)
class Do:
    id: str


@dataclass(frozen=True)
class Done:
    id: str


class Bell:
    def __init__(self) -> None:
        self.rung = 0

    async def ring(self) -> None:
        self.rung += 1


def counting() -> Module:
    module = Module("counting")

    @module.handles
    async def do(command: Do, bell: Bell) -> Done:
        await bell.ring()
        return Done(command.id)

    return module


def test_an_app_is_a_module() -> None:
    app = App("app")

    @app.handles
    async def do(command: Do) -> Done:
        raise NotImplementedError

    assert list(app.topology().consumers) == ["app.do"]


def test_an_app_of_apps() -> None:
    inner = App("inner", counting())
    outer = App("outer", inner)
    assert [module.name for module in outer.modules] == ["outer", "inner", "counting"]
    assert App("inner", inner).modules[1] is inner  # of the same name as one of its own


def test_two_modules_of_one_name() -> None:
    with pytest.raises(ValueError, match="two modules are named 'counting'"):
        App("app", counting(), counting())


def test_the_same_module_twice_is_one() -> None:
    module = counting()
    assert App("app", module, App("inner", module), module).modules.count(module) == 1


def test_an_app_is_read_once_until_something_is_declared() -> None:
    module = counting()
    app = App("app", module)
    first = app.topology(provide=[Bell])
    assert app.topology(provide=[Bell]) is first

    @module.on
    async def listen(event: Done) -> None: ...

    assert app.topology(provide=[Bell]) is not first
    assert "counting.listen" in app.topology(provide=[Bell]).consumers


def test_what_is_wrong_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    app = App("app", counting())
    with pytest.raises(DeclarationError):
        app.blocking(f"sqlite:///{tmp_path / 'shop.db'}").__enter__()
    with pytest.raises(DeclarationError):
        app.run(f"sqlite:///{tmp_path / 'shop.db'}")
    assert list(tmp_path.iterdir()) == []


async def test_an_engine(tmp_path: Path) -> None:
    app, bell = App("app", counting()), Bell()
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    async with app.engine(url, provide={Bell: bell}) as engine:
        assert isinstance(engine, Engine)
        assert await engine.send_and_wait(Do("1"), until=Done) == Done("1")
    with pytest.raises(Stopping):
        await engine.send(Do("2"))
    async with app.engine(url, provide={Bell: bell}) as engine:  # the file is free again
        await engine.send_and_wait(Do("2"), until=Done)
    assert bell.rung == 2


async def test_an_engine_stops_when_its_block_fails(tmp_path: Path) -> None:
    app = App("app", counting())
    url = str(tmp_path / "shop.db")
    with pytest.raises(ZeroDivisionError):
        async with app.engine(url, provide={Bell: Bell()}):
            raise ZeroDivisionError
    async with app.engine(url, provide={Bell: Bell()}):
        pass


async def test_limits() -> None:
    app = App("app", counting())
    async with app.engine("memory://", provide={Bell: Bell()}, limits=Limits(payload=20)) as engine:
        with pytest.raises(PayloadTooLarge):
            await engine.send(Do("x" * 20))
    async with app.engine("memory://", provide={Bell: Bell()}) as engine:
        await engine.send_and_wait(Do("x" * 20), until=Done)


async def test_a_url_that_names_no_store() -> None:
    with pytest.raises(StoreUnusable):
        async with App("app").engine("mongodb://localhost/shop"):
            pass


# ---------------------------------------------------------------------- inside a web app


def lifespan(web: Any, app: Any) -> AbstractAsyncContextManager[Any]:
    return web.router.lifespan_context(app)


@pytest.mark.parametrize("framework", [FastAPI, Starlette])
async def test_the_lifespan_of_a_web_app(framework: Any) -> None:
    app, bell = App("app", counting()), Bell()
    web = framework(lifespan=app.lifespan("memory://", provide={Bell: bell}))
    with pytest.raises(Stopping, match=r"no engine of 'app' runs: .*lifespan=app\.lifespan\(url\)"):
        await app.current()
    async with lifespan(web, web):
        engine = await app.current()
        await engine.send_and_wait(Do("1"), until=Done)
    with pytest.raises(Stopping):
        await app.current()
    assert bell.rung == 1
