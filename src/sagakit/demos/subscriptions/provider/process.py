"""Runs the provider beside the demo: a process of its own, which ends with whoever started it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from sagakit import StoreUnusable


@asynccontextmanager
async def running_provider() -> AsyncGenerator[str]:
    """Its URL, for as long as it runs."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sagakit.demos.subscriptions.provider",
        stdin=pipe,
        stdout=pipe,
        start_new_session=True,  # a Ctrl-C is for the demo, which ends it when it needs it no more
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise StoreUnusable("the payment provider does not start: see above")
        yield url
    finally:
        process.stdin.close()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
