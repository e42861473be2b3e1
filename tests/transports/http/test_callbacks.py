"""The URLs of answers: only whoever was given one can use it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from sagakit.transports.http import Callbacks

SECRET = "a secret of some length"


def test_a_url_names_the_command_and_permits_it_alone() -> None:
    callbacks = Callbacks("https://shop.example.com/sagas/", secret=SECRET)
    parts = urlsplit(callbacks.url("c/1", "story"))
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert (parts.scheme, parts.netloc, parts.path) == (
        "https",
        "shop.example.com",
        "/sagas/api/v1/commands/c%2F1/answer",
    )
    assert callbacks.permits("c/1", query["story"], query["token"])
    assert not callbacks.permits("c/2", "story", query["token"])
    assert not callbacks.permits("c/1", "another", query["token"])
    assert not callbacks.permits("c/1", "story", "")
    assert not callbacks.permits("c/1", "story", "ä")
    assert not Callbacks("https://shop.example.com", secret="another secret of mine").permits(
        "c/1", "story", query["token"]
    )


def test_no_other_pair_of_ids_reads_the_same() -> None:
    callbacks = Callbacks("https://a", secret=SECRET)
    token = parse_qs(urlsplit(callbacks.url("a\nb", "c")).query)["token"][0]
    assert not callbacks.permits("a", "b\nc", token)


def test_one_secret_takes_the_place_of_another() -> None:
    before, both = Callbacks("https://a", secret=SECRET), Callbacks("https://a", secret=["a newer secret!!", SECRET])
    for made in (before, both):
        token = parse_qs(urlsplit(made.url("c", "s")).query)["token"][0]
        assert both.permits("c", "s", token)


@pytest.mark.parametrize("secret", ["", "short", [], [SECRET, "short"]])
def test_a_secret_that_is_none(secret: str | list[str]) -> None:
    with pytest.raises(ValueError, match="secret: "):
        Callbacks("https://a", secret=secret)


@pytest.mark.parametrize("url", ["shop.example.com", "https://a?b=c", "ftp://a"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="url: "):
        Callbacks(url, secret=SECRET)
