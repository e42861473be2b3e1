"""The provider as the subscription service sees it."""

from __future__ import annotations

from typing import Any

import httpx

from sagakit import RetryableError, TerminalError

REFUSED = 422
"""The status of a business refusal: nothing was done."""


class ProviderRefused(TerminalError):
    """The provider says no; the text is its reason."""


class ProviderUnreachable(RetryableError):
    """The provider did not answer, or not for good: it may have been done."""


class Provider:
    """Requests to the provider. Each is safe to repeat: the order is the reference, and the key goes along."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def create(self, kind: str, reference: str, key: str, **asked: Any) -> dict[str, Any]:
        """Have something made. Raises ProviderRefused or ProviderUnreachable."""
        answer = await self._request("PUT", kind, reference, key, asked)
        if answer.status_code == REFUSED:
            raise ProviderRefused(str(answer.json()["error"]))
        return self._done(answer)

    async def cancel(self, kind: str, reference: str, key: str) -> None:
        """Have it taken back; what was never made is taken back too. Raises ProviderUnreachable."""
        self._done(await self._request("DELETE", kind, reference, key, None))

    async def _request(self, method: str, kind: str, reference: str, key: str, asked: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        try:
            return await self._http.request(method, f"/{kind}/{reference}", json=asked, headers=headers)
        except httpx.HTTPError as error:
            raise ProviderUnreachable(f"{method} {kind}: {type(error).__name__} {error}".rstrip()) from error

    @staticmethod
    def _done(answer: httpx.Response) -> dict[str, Any]:
        if answer.is_error:
            raise ProviderUnreachable(f"{answer.status_code}: {answer.json().get('error', 'no reason given')}")
        return answer.json()
