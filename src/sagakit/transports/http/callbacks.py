"""Where a participant may answer later: a URL that only whoever got the request knows."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from urllib.parse import quote, urlencode, urlsplit

SHORTEST = 16


class Callbacks:
    """Makes and checks the URLs of answers. Provide one by its type: the door for answers is open then.

    `url`: of the API as participants reach it, `https://shop.example.com` (with the path it is mounted under).
    `secret`: text of 16 bytes or more; several while one takes the place of another: the first one signs.
    """

    def __init__(self, url: str, *, secret: str | Sequence[str]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("url: give the absolute one of the API, like https://shop.example.com")
        self._url = url.rstrip("/")
        self._keys = [one.encode() for one in ((secret,) if isinstance(secret, str) else secret)]
        if not self._keys or any(len(key) < SHORTEST for key in self._keys):
            raise ValueError(f"secret: give text of {SHORTEST} bytes at least")

    def url(self, command_id: str, correlation_id: str) -> str:
        """Where the answer to a command is to be posted."""
        query = urlencode({"story": correlation_id, "token": _token(self._keys[0], command_id, correlation_id)})
        return f"{self._url}/api/v1/commands/{quote(command_id, safe='')}/answer?{query}"

    def permits(self, command_id: str, correlation_id: str, token: str) -> bool:
        """Whether this token was made for this command. Takes the same time for every wrong one."""
        expected = [_token(key, command_id, correlation_id) for key in self._keys]
        return any(hmac.compare_digest(one.encode(), token.encode()) for one in expected)


def _token(key: bytes, command_id: str, correlation_id: str) -> str:
    # with its length, so that no other pair of ids reads the same
    signed = f"sagakit answer\n{len(command_id)}\n{command_id}\n{correlation_id}"
    return base64.urlsafe_b64encode(hmac.digest(key, signed.encode(), "sha256")).rstrip(b"=").decode()
