"""An app: modules put together, checked, and joined to an engine and a store."""

from __future__ import annotations

from sagakit.app.compile import compile_topology
from sagakit.app.read import read_parts
from sagakit.app.roles import roles_of
from sagakit.declare import Module, modules_of
from sagakit.engine.topology import Topology
from sagakit.errors import DeclarationError


class App(Module):
    """Modules put together. It is a module too: a small app needs no other."""

    def __init__(self, name: str, *modules: Module) -> None:
        super().__init__(name)
        # an app may bear the name of a module of its own: to both then belong the messages of that name
        self.modules = (self, *modules_of(_flat(modules)).values())
        self._topology: Topology | None = None

    def topology(self) -> Topology:
        """The app as an engine needs it; DeclarationError names all its problems."""
        if self._topology is None:
            parts = read_parts(self.name, self.modules)
            roles = roles_of(parts)
            if parts.problems:
                raise DeclarationError(self.name, parts.problems)
            self._topology = compile_topology(parts, roles, ())
        return self._topology


def _flat(modules: tuple[Module, ...]) -> list[Module]:
    """The modules, and those of the apps among them."""
    found: dict[int, Module] = {}
    for module in modules:
        for one in module.modules if isinstance(module, App) else (module,):
            found[id(one)] = one
    return list(found.values())
