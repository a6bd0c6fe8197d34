"""API keys: who calls, and what for.

A key is 256 random bits, so one round of SHA-256 at rest is enough: there is nothing to guess. The
ring holds all keys that are not revoked and reads them again every two seconds, so that no request
asks the database, and a revoked key ends within five.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import Literal, get_args

from serving.errors import Unauthorised, Unavailable
from serving.postgres import Postgres
from serving.refreshed import Refreshed

__all__ = ["SCOPES", "Key", "KeyRing", "Scope", "hash_of"]

Scope = Literal["collect", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ACTIVE = "SELECT key_id, key_hash, name, scopes FROM online.active_api_keys()"
# A key that was just made is found by another look, which all who are unknown wait for together:
# a flood of wrong keys asks no more often than this.
LOOK_AGAIN_S = 0.15


@dataclass(frozen=True, slots=True)
class Key:
    """One that may call; `key_id` is no secret."""

    key_id: str
    name: str
    scopes: frozenset[str]


def hash_of(secret: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class KeyRing(Refreshed):
    """The keys of this process. While PostgreSQL is away, those that were known stay valid."""

    def __init__(self, postgres: Postgres) -> None:
        super().__init__()
        self._postgres = postgres
        self._keys: dict[bytes, Key] = {}
        self._is_read = False
        self._tried_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    def known(self, secret: str) -> Key | None:
        """The key, if it was among those of the last reading."""
        return self._keys.get(hash_of(secret))

    async def find(self, secret: str) -> Key:
        """The key; raises `Unauthorised`, or `Unavailable` while no key could be read yet."""
        key = self.known(secret)
        if key is None:
            await self._look_again()
            key = self.known(secret)
        if key is not None:
            return key
        if not self._is_read:
            raise Unavailable("The keys cannot be read: PostgreSQL does not answer.")
        raise Unauthorised("This key is not known: `userflow keys create` makes one.")

    async def _look_again(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._refresh_soon())
        await asyncio.shield(self._looking)

    async def _refresh_soon(self) -> None:
        await asyncio.sleep(max(0, self._tried_at + LOOK_AGAIN_S - time.monotonic()))
        await self.refresh()

    async def refresh(self) -> None:
        """Read them."""
        self._tried_at = time.monotonic()
        try:
            rows = await self._postgres.fetch(ACTIVE)
        except Unavailable:
            return
        self._keys = {
            bytes(key_hash): Key(key_id, name, frozenset(scopes))
            for key_id, key_hash, name, scopes in rows
        }
        self._is_read = True
