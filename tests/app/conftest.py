"""What the tests of the composition root share."""

from collections.abc import Callable
from typing import Any

import pytest

from sagakit import App, DeclarationError, Module

Problems = Callable[..., list[str]]


@pytest.fixture
def problems() -> Problems:
    """Why an app of these modules cannot run."""

    def problems(*modules: Module, provide: tuple[Any, ...] = ()) -> list[str]:
        try:
            App("app", *modules).check(provide=provide)
        except DeclarationError as error:
            return list(error.problems)
        return []

    return problems
