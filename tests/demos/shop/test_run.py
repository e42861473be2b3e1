"""Where the card provider of `sagakit demo` keeps its books."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagakit.demos.shop.run import BOOKS, books_kept, others


def test_beside_the_shops_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BOOKS, raising=False)
    assert books_kept(Path("/var/shop.db")) == Path("/var/shop.db-cards")
    assert others(Path("/var/shop.db")) == (Path("/var/shop.db-cards"),)


def test_in_memory_where_the_shop_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BOOKS, raising=False)
    assert books_kept(None) is None


@pytest.mark.parametrize("path", [None, Path("/var/shop.db")])
def test_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> None:
    monkeypatch.setenv(BOOKS, "/srv/books")
    assert books_kept(path) == Path("/srv/books")
    assert others(Path("/var/shop.db")) == (Path("/srv/books"),)
