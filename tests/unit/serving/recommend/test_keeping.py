"""A catalogue is kept, renewed beside the requests, and survives stores that are away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from serving.errors import Unavailable
from serving.recommend.catalogue import Catalogue, Keeper, catalogue_of, product_heat
from serving.recommend.patience import Patience


@dataclass
class Shelf:
    """Loads what is named next; None: the store is away."""

    names: list[str | None]
    now: float = 0.0
    loads: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self) -> Catalogue:
        self.loads += 1
        await self.gate.wait()
        name = self.names.pop(0)
        if name is None:
            raise Unavailable("away")
        return catalogue_of({name: {}}, group="category", heat=product_heat)

    def keeper(self) -> Keeper:
        return Keeper(self.load, clock=lambda: self.now, fresh_s=5)


async def get(keeper: Keeper, seconds: float = 0.05) -> tuple[list[str], set[str]]:
    patience = Patience(seconds)
    catalogue = await keeper.get(patience)
    return list(catalogue.popular), patience.missed


def test_the_first_request_waits_and_the_next_ones_do_not() -> None:
    async def play() -> None:
        shelf = Shelf(["old", "new"])
        keeper = shelf.keeper()
        shelf.gate.set()
        assert await get(keeper) == (["old"], set())
        shelf.now = 4.9
        assert await get(keeper) == (["old"], set())
        await asyncio.sleep(0.01)
        assert shelf.loads == 1
        shelf.gate.clear()
        shelf.now = 5
        assert await get(keeper) == (["old"], set())
        assert await get(keeper) == (["old"], set())
        await asyncio.sleep(0)
        assert shelf.loads == 2
        shelf.gate.set()
        await asyncio.sleep(0.01)
        assert await get(keeper) == (["new"], set())

    asyncio.run(play())


def test_a_store_that_is_away_is_asked_again_a_second_later() -> None:
    async def play() -> None:
        shelf = Shelf([None, "back"])
        keeper = shelf.keeper()
        shelf.gate.set()
        assert await get(keeper) == ([], {"catalogue"})
        assert await get(keeper) == ([], {"catalogue"})
        assert shelf.loads == 1
        shelf.now = 1
        assert await get(keeper) == (["back"], set())

    asyncio.run(play())


def test_what_is_kept_outlives_the_store() -> None:
    async def play() -> None:
        shelf = Shelf(["kept", None])
        keeper = shelf.keeper()
        shelf.gate.set()
        await get(keeper)
        shelf.now = 60
        await get(keeper)
        await asyncio.sleep(0.01)
        assert shelf.loads == 2
        assert await get(keeper) == (["kept"], set())

    asyncio.run(play())


def test_a_slow_store_costs_no_more_than_the_patience_and_is_not_asked_twice() -> None:
    async def play() -> None:
        shelf = Shelf(["late"])
        keeper = shelf.keeper()
        assert await get(keeper) == ([], {"catalogue"})
        assert await get(keeper) == ([], {"catalogue"})
        assert shelf.loads == 1
        shelf.gate.set()
        assert await get(keeper) == (["late"], set())
        await keeper.stop()

    asyncio.run(play())


def test_stopping_gives_up_what_is_loading() -> None:
    async def play() -> None:
        shelf = Shelf(["never"])
        keeper = shelf.keeper()
        keeper.refresh()
        await asyncio.sleep(0)
        await keeper.stop()
        assert shelf.names == ["never"]

    asyncio.run(play())
