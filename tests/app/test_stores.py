"""A URL names a store, or says in one line why not; an adapter is loaded only when its URL asks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sagakit import StoreFailed, StoreUnusable
from sagakit.app.stores import open_store, place_of, repeated
from sagakit.stores.memory import MemoryStore
from sagakit.stores.sqlite.store import SqliteStore


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("shop.db", "shop.db"),
        ("data/shop.db", "data/shop.db"),
        ("/var/lib/shop.db", "/var/lib/shop.db"),
        ("sqlite:///shop.db", "shop.db"),
        ("sqlite:///data/shop.db", "data/shop.db"),
        ("sqlite:////var/lib/shop.db", "/var/lib/shop.db"),
        ("sqlite:///with space.db", "with space.db"),
    ],
)
def test_sqlite(url: str, path: str) -> None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert store.path == Path(path)


@pytest.mark.parametrize("url", ["memory://", "memory:///"])
def test_memory(url: str) -> None:
    assert isinstance(open_store(url), MemoryStore)


def test_each_store_in_memory_is_its_own() -> None:
    first, second = open_store("memory://"), open_store("memory://")
    assert isinstance(first, MemoryStore)
    assert isinstance(second, MemoryStore)
    assert first.data is not second.data


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "names no file"),
        ("data/", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://shop.db", "names no file"),
        ("sqlite:///data/", "names no file"),
        (":memory:", "for a store in memory use memory://"),
        ("sqlite:///:memory:", "for a store in memory use memory://"),
        ("memory://shop", "a URL with memory:// names no store"),
        ("mongodb://localhost/shop", "a URL with mongodb:// names no store"),
        ("postgresql://localhost/shop?schema", "a postgresql:// URL that cannot be read"),
    ],
)
def test_what_names_no_store(url: str, why: str) -> None:
    with pytest.raises(StoreUnusable, match=why) as error:
        open_store(url)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["mongodb://shop:secret@localhost/shop", "postgresql://shop:secret@localhost/shop?schema"]
)
def test_a_password_is_not_repeated(url: str) -> None:
    with pytest.raises(StoreUnusable) as error:
        open_store(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "password", ["geh/eim", "1/geheim", "geh?eim", "1?geheim", "geh?e=im", "geh#eim", "1#geheim", "geh[ei]m", "geh[eim"]
)
def test_a_password_that_is_not_escaped_is_refused_and_not_repeated(password: str) -> None:
    url = f"postgresql://shop:{password}@127.0.0.1:1/shop"
    with pytest.raises(StoreUnusable, match="is written %2F") as error:
        open_store(url)
    assert not {"geh", "eim", "im"} & set(re.split(r"\W", str(error.value)))
    assert "geh" not in place_of(url)
    assert "eim" not in place_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///shop",
        "postgresql://shop@/shop?host=/run/postgresql",
        "postgresql://one:5432,two/shop?application_name=a@b",
        "postgresql://shop:p%2Fw%40@[::1]:5432/shop",
        "postgresql://shop:p@[::1]/shop",
        "postgresql://shop:a@b@db:5432/shop",
    ],
)
def test_a_server_may_be_named_in_many_ways(url: str) -> None:
    open_store(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("shop@home.db", "shop@home.db"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("memory://", "memory://"),
        ("postgresql://shop:secret@db:5432/shop?sslmode=require", "postgresql://db:5432/shop"),
        ("postgresql://db/shop?password=secret&schema=two", "postgresql://db/shop?schema=two"),
        ("mysql://shop:secret@db/shop", "mysql://db/shop"),
    ],
)
def test_where_a_store_is_without_what_opens_it(url: str, shown: str) -> None:
    assert place_of(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("shop.db", "shop.db"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
        (
            "postgresql://shop@db/shop?sslmode=require&schema=two",
            "postgresql://shop@db/shop?sslmode=require&schema=two",
        ),
        ("postgresql://shop:secret@db/shop?schema=two", "postgresql://db/shop?schema=two"),
        ("postgresql://db/shop?user=shop&password=secret", "postgresql://db/shop"),
    ],
)
def test_a_url_in_a_command_to_be_said_next(url: str, shown: str) -> None:
    assert repeated(url) == shown


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_a_server_that_is_not_there(scheme: str) -> None:
    store = open_store(f"{scheme}://shop:secret@127.0.0.1:1/shop?schema=orders")
    with pytest.raises(
        StoreFailed, match=r"^postgresql://127\.0\.0\.1:1/shop \(schema orders\) does not answer"
    ) as error:
        await store.open()
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_the_extra_is_named_where_its_driver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("sagakit.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(StoreUnusable, match=r"install sagakit\[postgres\]"):
        open_store("postgresql://localhost/shop")


def test_an_adapter_is_loaded_when_its_url_asks() -> None:
    show = (
        "import sys; from sagakit.app.stores import open_store; open_store('memory://'); "
        "print('apsw' in sys.modules); open_store('x.db'); print('apsw' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
