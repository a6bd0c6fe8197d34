"""What is read again every few seconds, so that no request has to ask for it."""

from __future__ import annotations

import asyncio

__all__ = ["Refreshed"]


class Refreshed:
    """Calls `refresh` when it starts and then again and again; `refresh` deals with failures."""

    refresh_s = 2.0

    def __init__(self) -> None:
        self._loop: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read it; after a failure what was known stays."""
        raise NotImplementedError

    async def start(self) -> None:
        """Read it, and go on reading it."""
        await self.refresh()
        self._loop = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Read it no more."""
        if self._loop:
            self._loop.cancel()
            await asyncio.wait({self._loop})

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self.refresh_s)
            await self.refresh()
