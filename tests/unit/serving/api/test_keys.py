"""The ring of keys: read again by itself, at once for a key that is new, and kept in an outage."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from serving.api.keys import KeyRing, hash_of
from serving.errors import Unauthorised, Unavailable

Rows = list[tuple[Any, ...]]


class Postgres:
    """`rows` None: away."""

    def __init__(self, rows: Rows | None) -> None:
        self.rows = rows
        self.asked = 0

    async def fetch(self, _: str) -> Rows:
        self.asked += 1
        if self.rows is None:
            raise Unavailable("away")
        return self.rows


def row(secret: str) -> tuple[Any, ...]:
    return (f"id of {secret}", hash_of(secret), "", ["read"])


def ring(postgres: Postgres) -> KeyRing:
    return KeyRing(cast("Any", postgres))


def test_a_known_key_costs_no_query() -> None:
    async def test() -> None:
        postgres = Postgres([row("a")])
        keys = ring(postgres)
        await keys.refresh()
        assert [(await keys.find("a")).key_id for _ in range(3)] == ["id of a"] * 3
        assert postgres.asked == 1

    asyncio.run(test())


def test_a_new_key_is_looked_up_and_wrong_ones_do_not_flood_the_database() -> None:
    async def test() -> None:
        postgres = Postgres([row("new")])
        keys = ring(postgres)
        assert (await keys.find("new")).scopes == {"read"}
        wrong = [keys.find(f"wrong {number}") for number in range(50)]
        told = await asyncio.gather(*wrong, return_exceptions=True)
        assert all(isinstance(one, Unauthorised) for one in told)
        assert postgres.asked == 2

    asyncio.run(test())


def test_a_key_that_is_made_right_after_a_reading_is_found() -> None:
    async def test() -> None:
        postgres = Postgres([])
        keys = ring(postgres)
        await keys.refresh()
        postgres.rows = [row("new")]
        assert (await keys.find("new")).key_id == "id of new"

    asyncio.run(test())


def test_a_revoked_key_ends_with_the_next_reading() -> None:
    async def test() -> None:
        postgres = Postgres([row("a")])
        keys = ring(postgres)
        keys.refresh_s = 0.02
        await keys.start()
        postgres.rows = []
        for _ in range(200):
            if keys.known("a") is None:
                break
            await asyncio.sleep(0.01)
        assert keys.known("a") is None
        await keys.stop()

    asyncio.run(test())


def test_known_keys_outlive_an_outage() -> None:
    async def test() -> None:
        postgres = Postgres([row("a")])
        keys = ring(postgres)
        await keys.refresh()
        postgres.rows = None
        await keys.refresh()
        assert (await keys.find("a")).key_id == "id of a"
        with pytest.raises(Unauthorised):
            await keys.find("b")

    asyncio.run(test())


def test_before_any_key_could_be_read_nobody_is_called_unknown() -> None:
    async def test() -> None:
        with pytest.raises(Unavailable):
            await ring(Postgres(None)).find("a")

    asyncio.run(test())
