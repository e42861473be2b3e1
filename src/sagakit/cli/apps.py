"""A user's app by its name on the command line, `MODULE:APP`."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from sagakit.app import App
from sagakit.cli.failures import Failure, WrongUse
from sagakit.errors import DeclarationError

_FORM = "name the app as MODULE:APP, such as shop.app:shop"


def load(name: str) -> App:
    """The app that `MODULE:APP` names, put together; else an error that says in a line why there is none."""
    app = _named(name)
    app.topology()
    return app


def _named(name: str) -> App:
    module_name, _, attribute = name.partition(":")
    if not attribute or module_name.endswith(".py") or not all(part.isidentifier() for part in module_name.split(".")):
        raise WrongUse(f"{name}: {_FORM}")
    module = _imported(module_name)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise Failure(f"{module_name} has no {attribute!r}{_offer(module)}")
        found = getattr(found, part)
    if not isinstance(found, App):
        raise Failure(f"{name} is a {type(found).__name__} and no App{_offer(module)}")
    return found


def _imported(name: str) -> ModuleType:
    """The module, looked for in the current folder first."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except DeclarationError:
        raise
    except (Exception, SystemExit) as error:
        raise Failure(_why_not(name, error)) from error


def _why_not(name: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        return f"there is no module {error.name}, neither in this folder nor installed"
    if isinstance(error, SyntaxError):
        return f"{name} cannot be imported: {_short(error.filename)} line {error.lineno}: {error.msg}"
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{name} cannot be imported: {_where(error)}{what}"


def _where(error: BaseException) -> str:
    """The line that raised, or the innermost one of the user's own: what is under the current folder."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_source(frame.filename)]
    here = str(Path.cwd())
    own = [frame for frame in frames if frame.filename.startswith(here) and "site-packages" not in frame.filename]
    for frame in reversed(own or frames):
        return f"{_short(frame.filename)} line {frame.lineno}: "
    return ""


def _is_source(file: str) -> bool:
    return not file.startswith("<") and file not in (importlib.__file__, __file__)


def _short(file: str | None) -> str:
    """A file as seen from the current folder."""
    path = Path(file or "?")
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _offer(module: ModuleType) -> str:
    """The apps that are there instead."""
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    return f"; it has {', '.join(sorted(apps))}" if apps else ""
