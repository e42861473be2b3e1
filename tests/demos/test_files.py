"""Starting anew: what is removed, and what is not."""

from pathlib import Path

import pytest

from sagakit import StoreUnusable
from sagakit.demos.files import forget
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.payments.cards import Books, books_of


async def test_all_of_it_is_removed(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    async with shop.engine(str(database), provide={Books: Books(books_of(database))}):
        assert books_of(database).exists()
    for end in ("-wal", "-shm"):
        (tmp_path / f"shop.db{end}").touch()
    (tmp_path / "shop.db.old").touch()
    forget(database, books_of(database))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"shop.db-owner", "shop.db.old"}, "the lock's file stays: removing it could take a newcomer's lock"


async def test_a_shop_that_runs_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    async with shop.engine(str(database)):
        with pytest.raises(StoreUnusable, match="is in use by process"):
            forget(database, books_of(database))
        assert database.exists()


def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Ann")
    with pytest.raises(StoreUnusable, match="is no database: it was not removed"):
        forget(letter)
    assert letter.read_text() == "Dear Ann"


def test_a_folder_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable):
        forget(tmp_path)
    assert tmp_path.is_dir()


def test_nothing_to_forget(tmp_path: Path) -> None:
    forget(tmp_path / "shop.db")
    forget(tmp_path / "no folder" / "shop.db")
