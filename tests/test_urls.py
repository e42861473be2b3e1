"""A password that is not escaped cuts a URL: that is seen, and no URL that is whole is taken for one."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from sagakit.urls import split


@pytest.mark.parametrize("password", ["a/b", "1/b", "a?b", "1?b", "a?b=c", "a#b", "1#b", "a@b/c", "1@b#c"])
def test_what_is_cut(password: str) -> None:
    assert split(f"kafka://ann:{password}@one:9092") is None


@pytest.mark.parametrize(
    "url",
    [
        "kafka://one",
        "kafka://one:1,two:2?client_id=a@b",
        "kafka://ann:a%2Fb@one:1",
        "kafka://ann:a@b@one:1",
        "kafka://[::1]:1,[::2]",
        "postgresql:///shop",
        "postgresql://ann@/shop?host=/run/postgresql",
        "postgresql://ann:p@one:5432/shop?application_name=a@b",
    ],
)
def test_what_is_whole(url: str) -> None:
    assert split(url) == urlsplit(url)
