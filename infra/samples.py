"""Keys for the sample pages: made when a page is opened first, ended with the server."""

from __future__ import annotations

import asyncio

from infra import api_keys
from infra.database import analyst_conninfo
from serving.postgres import Postgres
from serving.web.pages import SamplePages

__all__ = ["sample_pages"]

NAME = "sample pages"


class _Keys:
    """One key for each scope, each of which can do nothing else."""

    def __init__(self, postgres: str) -> None:
        self._postgres = postgres
        self._made: dict[str, tuple[str, str]] = {}
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Nothing: the database may be away."""

    async def stop(self) -> None:
        """End the keys that were made."""
        for key_id, _ in self._made.values():
            await asyncio.to_thread(api_keys.revoke_key, self._postgres, key_id)

    async def collect(self) -> str:
        """May collect."""
        return await self._key("collect")

    async def read(self) -> str:
        """May read."""
        return await self._key("read")

    async def _key(self, scope: str) -> str:
        async with self._turn:
            if scope not in self._made:
                made = await asyncio.to_thread(api_keys.create_key, self._postgres, [scope], NAME)
                self._made[scope] = made
            return self._made[scope][1]


def sample_pages(postgres: str) -> SamplePages:
    """The pages over this database."""
    return SamplePages(_Keys(postgres), Postgres(analyst_conninfo(postgres), size=1))
