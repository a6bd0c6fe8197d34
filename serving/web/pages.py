"""The sample pages: files of this folder, and what they need to know.

They are off unless somebody turns them on, since a page's keys are known to whoever can open it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Protocol

from serving.errors import NotFound
from serving.postgres import Postgres

__all__ = ["PAGES", "SamplePages", "asset"]

FOLDER = Path(__file__).parent
PAGES = ("shop", "webtoon", "replay")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
PRODUCTS = """
SELECT product_id, name, category, brand, price
FROM dim.products ORDER BY product_id LIMIT 2000"""
EPISODES = """
SELECT episode_id, title, genre, tags, avg_rating
FROM dim.episodes ORDER BY episode_id LIMIT 2000"""
# More than a look-up of features may take: it is read once for each page that is opened.
PATIENCE_S = 2.0


class PageKeys(Protocol):
    """Keys for the pages, each for one thing: a page's source and its beacons show them."""

    async def collect(self) -> str:
        """May collect and nothing else."""

    async def read(self) -> str:
        """May read and nothing else."""

    async def start(self) -> None:
        """Get ready; waits for nobody."""

    async def stop(self) -> None:
        """End the keys."""


class SamplePages:
    """`catalogue` may read `dim`."""

    def __init__(self, keys: PageKeys, catalogue: Postgres) -> None:
        self._keys = keys
        self._catalogue = catalogue

    async def start(self) -> None:
        """Get ready."""
        await self._keys.start()

    async def stop(self) -> None:
        """End the keys and close what is open."""
        await self._keys.stop()
        await self._catalogue.stop()

    async def setup(self) -> dict[str, str]:
        """What a page needs before it can do anything."""
        return {"collect_key": await self._keys.collect(), "read_key": await self._keys.read()}

    async def products(self) -> list[dict[str, Any]]:
        """What the shop sells."""
        rows = await self._catalogue.fetch(PRODUCTS, timeout_s=PATIENCE_S)
        names = ("product_id", "name", "category", "brand", "price")
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def episodes(self) -> list[dict[str, Any]]:
        """What there is to read."""
        rows = await self._catalogue.fetch(EPISODES, timeout_s=PATIENCE_S)
        names = ("episode_id", "title", "genre", "tags", "avg_rating")
        return [dict(zip(names, row, strict=True)) for row in rows]


@cache
def _assets() -> dict[str, Path]:
    return {path.name: path for path in FOLDER.iterdir() if path.suffix in TYPES}


def asset(name: str) -> tuple[Path, str]:
    """A file of this folder and its media type."""
    if name not in _assets():
        raise NotFound.named("file", name, _assets())
    path = _assets()[name]
    return path, TYPES[path.suffix]
