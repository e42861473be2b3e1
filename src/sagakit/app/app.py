"""An app: modules put together, checked, and joined to an engine and a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sagakit.app.blocking import BlockingEngine, in_a_thread
from sagakit.app.check import problems_of, unprovided, warnings_of
from sagakit.app.collector import searched_less
from sagakit.app.compile import compile_topology
from sagakit.app.reading.parts import Parts
from sagakit.app.reading.read import read_parts
from sagakit.app.reading.roles import roles_of
from sagakit.app.running import signalled, until_told
from sagakit.app.stores import open_store
from sagakit.declare import Module, modules_of
from sagakit.engine.engine import Engine
from sagakit.engine.limits import Limits
from sagakit.engine.topology import Topology
from sagakit.errors import DeclarationError, Stopping, StoreUnusable
from sagakit.observer import Observer
from sagakit.ports import Clock


@dataclass(frozen=True)
class _Whole:
    """An app as it was read when it had this many declarations."""

    declared: int
    parts: Parts
    problems: Sequence[str]
    warnings: Sequence[str]
    topology: Topology | None


class App(Module):
    """Modules put together. It is a module too: a small app needs no other."""

    def __init__(self, name: str, *modules: Module) -> None:
        super().__init__(name)
        # an app may bear the name of a module of its own: the two are then one module to all checks
        self.modules = (self, *modules_of(_flat(modules)).values())
        self._whole: _Whole | None = None
        self._current: Engine | None = None

    # ------------------------------------------------------------------ what it is made of

    def check(self, *, provide: Collection[Any] = ()) -> None:
        """Raise DeclarationError with everything that keeps this app from running.

        `provide`: the types that will be given to the engine, as `engine(url, provide=...)` gets them.
        """
        whole = self._read()
        problems = [*whole.problems, *unprovided(whole.parts, provide)]
        if problems:
            raise DeclarationError(self.name, problems)

    @property
    def warnings(self) -> Sequence[str]:
        """What may be meant, and may be a mistake; it keeps nothing from running."""
        return self._read().warnings

    def topology(self, *, provide: Collection[Any] = ()) -> Topology:
        """The app as an engine needs it. Raises what `check` raises."""
        self.check(provide=provide)
        topology = self._read().topology
        assert topology is not None
        return topology

    def topology_to_send(self) -> Topology:
        """The app for those who only write its messages: nothing has to be provided. Raises DeclarationError."""
        whole = self._read()
        if whole.topology is None:
            raise DeclarationError(self.name, list(whole.problems))
        return whole.topology

    # ------------------------------------------------------------------ running

    @asynccontextmanager
    async def engine(
        self,
        url: str,
        *,
        provide: Mapping[Any, object] | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
        work: bool = True,
        worker: str = "",
    ) -> AsyncGenerator[Engine]:
        """Run this app on the store that `url` names, until the context ends.

        `provide`: values by type, which go before what providers give. `observer`: counts and traces what happens;
        `sagakit.telemetry` has one. On a store that several engines share, `worker` is this one's name, which it should
        have again when it is started anew; with `work` false it only sends and waits, and handles nothing itself.
        """
        given = provide or {}
        topology = self.topology(provide=given)
        engine = Engine(topology, open_store(url), clock=clock, provide=given, limits=limits, observer=observer)
        topology.codecs.max_payload = engine.limits.payload
        if engine.team is not None:
            engine.team.me.name, engine.team.works = worker, work
        elif not work:
            raise StoreUnusable(f"{url}: one engine owns this store alone, so it has to do the work, too")
        with searched_less():
            await engine.start()
            try:
                yield engine
            finally:
                await engine.stop()

    def blocking(
        self,
        url: str,
        *,
        provide: Mapping[Any, object] | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
    ) -> AbstractContextManager[BlockingEngine]:
        """The same for callers that are not async: the engine runs in a thread of its own."""
        return in_a_thread(lambda: self.engine(url, provide=provide, limits=limits, observer=observer))

    def lifespan(
        self,
        url: str,
        *,
        provide: Mapping[Any, object] | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
    ) -> Callable[[Any], AbstractAsyncContextManager[None]]:
        """The lifespan of a FastAPI or Starlette app: the engine runs while that app does, and is its `current`."""

        @asynccontextmanager
        async def lifespan(_: Any) -> AsyncGenerator[None]:
            async with self.engine(url, provide=provide, limits=limits, observer=observer) as engine:
                self._current = engine
                try:
                    yield
                finally:
                    self._current = None

        return lifespan

    async def current(self) -> Engine:
        """The engine that `lifespan` runs."""
        if self._current is None:
            raise Stopping(f"no engine of {self.name!r} runs: give the web app lifespan={self.name}.lifespan(url)")
        return self._current

    def run(
        self,
        url: str,
        *,
        provide: Mapping[Any, object] | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Run until SIGTERM or SIGINT, then stop in order. What is outstanding goes on at the next start."""

        async def serve() -> None:
            # from before the start on, so that it is never cut short
            with signalled() as told:
                async with self.engine(url, provide=provide, limits=limits, observer=observer) as engine:
                    await until_told(engine, told)

        asyncio.run(serve())

    def _read(self) -> _Whole:
        declared = sum(module.declared.count() for module in self.modules)
        if self._whole is None or self._whole.declared != declared:
            parts = read_parts(self.name, self.modules)
            roles = roles_of(parts)
            problems, warnings = problems_of(parts, roles), warnings_of(parts, roles)
            topology = None if problems else compile_topology(parts, roles, warnings)
            self._whole = _Whole(declared, parts, problems, warnings, topology)
        return self._whole


def _flat(modules: Sequence[Module]) -> list[Module]:
    """The modules, and those of the apps among them."""
    found: dict[int, Module] = {}
    for module in modules:
        for one in module.modules if isinstance(module, App) else (module,):
            found[id(one)] = one
    return list(found.values())
