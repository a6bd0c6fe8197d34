"""Catalogues: what is popular, overall and by group, kept in memory and read again now and then.

It answers which items to look at; their features are read from the store for each request. When no
store answers, it is all there is, and then its own copy of the features ranks.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from serving.errors import Unavailable
from serving.recommend.patience import Patience
from serving.recommend.signals import Values

__all__ = [
    "Catalogue",
    "Heat",
    "Keeper",
    "catalogue_of",
    "episode_heat",
    "first_of_each",
    "product_heat",
]

Heat = Callable[[Values], float]
DAYS = 7
FRESH_S, RETRY_S = 5.0, 1.0
CATALOGUE = "catalogue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """`popular` and `groups` hold ids, the most popular first; `shares`: how a country's reads are
    divided among the groups, the largest share is 1.
    """

    items: Mapping[str, Values] = field(default_factory=dict)
    popular: Sequence[str] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    heat: Heat = lambda _: 0.0
    most_heat: float = 0.0

    def of_group(self, name: str) -> Sequence[str]:
        """The popular ones of a category or genre."""
        return self.groups.get(name, ())

    def popularity(self, item: Values) -> float:
        """0..1 on a logarithmic scale; the most popular one of the catalogue has 1."""
        if self.most_heat <= 0:
            return 0.0
        return min(1.0, math.log1p(self.heat(item)) / math.log1p(self.most_heat))


def product_heat(product: Values) -> float:
    """The score of the last 24 h, and the views of a mean day of the week."""
    return (product.get("popularity_score") or 0.0) + (product.get("view_count_7d") or 0) / DAYS


def episode_heat(episode: Values) -> float:
    """The reads of the last 24 h, and those of a mean day of the week."""
    return (episode.get("read_count_24h") or 0) + (episode.get("read_count_7d") or 0) / DAYS


def catalogue_of(
    items: Mapping[str, Values],
    *,
    group: str,
    heat: Heat,
    shares: Iterable[tuple[str, str, float]] = (),
) -> Catalogue:
    """Arrange `items` (id -> features) by `heat`; ties by id. `shares`: country, group, reads."""
    popular = sorted(items, key=lambda name: (-heat(items[name]), name))
    groups: dict[str, list[str]] = defaultdict(list)
    for name in popular:
        if (of := items[name].get(group)) is not None:
            groups[of].append(name)
    return Catalogue(
        items=items,
        popular=popular,
        groups=dict(groups),
        shares=_shares(shares),
        heat=heat,
        most_heat=heat(items[popular[0]]) if popular else 0.0,
    )


def first_of_each(
    sources: Iterable[tuple[Sequence[str], int]], without: Collection[str]
) -> list[str]:
    """So many ids of each source, those in `without` not counted; each id once."""
    taken: dict[str, None] = {}
    for names, most in sources:
        allowed = (name for name in names if name not in without)
        taken.update(dict.fromkeys(islice(allowed, most)))
    return list(taken)


class Keeper:
    """Keeps what `load` last gave. An old one is given while a new one is loaded beside it, so no
    request waits for that; the first one waits as long as its patience lasts.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[Catalogue]],
        *,
        clock: Callable[[], float] = time.monotonic,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._load, self._clock, self._fresh_s = load, clock, fresh_s
        self._kept: Catalogue | None = None
        self._next_at = -math.inf
        self._loading: asyncio.Task[None] | None = None

    async def get(self, patience: Patience) -> Catalogue:
        """The catalogue; an empty one, which counts as missed, while there is none."""
        self.refresh()
        if self._kept is None and self._loading is not None:
            await patience.wait(CATALOGUE, asyncio.shield(self._loading), None)
        if self._kept is None:
            patience.missed.add(CATALOGUE)
            return Catalogue()
        return self._kept

    def refresh(self) -> None:
        """Begin to load, if it is time to."""
        if self._loading is None and self._clock() >= self._next_at:
            self._loading = asyncio.create_task(self._reload())

    async def stop(self) -> None:
        """Give up what is being loaded."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)

    async def _reload(self) -> None:
        try:
            self._kept = await self._load()
            self._next_at = self._clock() + self._fresh_s
        except Unavailable:
            self._next_at = self._clock() + RETRY_S
        finally:
            self._loading = None


def _shares(reads: Iterable[tuple[str, str, float]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for country, group, count in reads:
        found[country][group] = float(count)
    return {
        country: {group: count / most for group, count in of.items()}
        for country, of in found.items()
        if (most := max(of.values())) > 0
    }
