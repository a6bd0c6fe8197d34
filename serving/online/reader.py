"""The reader: Redis first, PostgreSQL for what Redis does not have and while it is away."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from serving.errors import Unavailable
from serving.online.plan import Found, Plan, plan_for
from serving.online.ports import Degraded, RowStore
from serving.online.rows import Row, age_ms_at

__all__ = ["Answer", "OnlineReader"]

UNKNOWN = b'{"id":%b,"features":null,"event_at":null,"updated_at":null,"age_ms":null%b}'
UNAVAILABLE = b',"unavailable":true'


@dataclass(frozen=True, slots=True)
class Answer:
    """What the stores had of the entities that were asked for, at `now_ms`. `unasked`: what neither
    store could be asked for; there may be such entities or not.
    """

    plan: Plan
    found: dict[str, Found]
    unasked: Collection[str]
    is_degraded: bool
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def source(self) -> str:
        """`redis`, `postgres`, `mixed`, or `none` where nothing was found."""
        sources = {found.source for found in self.found.values()}
        return "mixed" if len(sources) > 1 else next(iter(sources), "none")

    def rows(self, ids: Sequence[str]) -> list[Row]:
        """The rows of these entities as Python has them."""
        return [self._row(entity_id) for entity_id in ids]

    def documents(self, ids: Sequence[str]) -> list[bytes]:
        """The rows of these entities as JSON."""
        return [self._document(entity_id) for entity_id in ids]

    @property
    def oldest_ms(self) -> int | None:
        """The age of the oldest row; None where nothing was found."""
        # Times of one form are in the order of their texts.
        oldest = min((found.updated_at for found in self.found.values()), default=None)
        return None if oldest is None else age_ms_at(oldest, self.now_ms)

    @property
    def stale_count(self) -> int:
        """How many rows are older than their view's limit."""
        limit_ms = self.plan.view.stale_after_s * 1000
        if (self.oldest_ms or 0) <= limit_ms:
            return 0
        ages = (age_ms_at(found.updated_at, self.now_ms) for found in self.found.values())
        return sum(age > limit_ms for age in ages)

    def _row(self, entity_id: str) -> Row:
        found = self.found.get(entity_id)
        if found is None:
            return Row(id=entity_id, is_unavailable=entity_id in self.unasked)
        return self.plan.row_of(entity_id, found, self.now_ms, is_degraded=self.is_degraded)

    def _document(self, entity_id: str) -> bytes:
        found = self.found.get(entity_id)
        if found is None:
            mark = UNAVAILABLE if entity_id in self.unasked else b""
            return UNKNOWN % (self.plan.id_json(entity_id), mark)
        return self.plan.json_of(entity_id, found, self.now_ms, is_degraded=self.is_degraded)


class OnlineReader:
    """What everything reads features with: the API, and in-process the recommender and Feast."""

    def __init__(self, redis: RowStore, postgres: RowStore, degraded: Degraded = ()) -> None:
        self._redis = redis
        self._postgres = postgres
        self._degraded = degraded

    async def read(
        self, view: str, ids: Sequence[str], features: Sequence[str] | None = None
    ) -> list[Row]:
        """The rows of these entities, in their order; `Row.features` is None for unknown ones.

        `features`: which ones, in that order; all when None. Raises `NotFound` for a view or a
        feature that is not declared, `Unavailable` if no store could be asked for any of them.
        """
        return (await self.find(view, ids, features)).rows(ids)

    async def find(
        self, view: str, ids: Sequence[str], features: Sequence[str] | None = None
    ) -> Answer:
        """The same, before it is made into rows or into JSON."""
        plan = plan_for(view, None if features is None else tuple(features))
        parsed = {entity_id: plan.view.entity_of(entity_id) for entity_id in ids}
        entities = {name: parts for name, parts in parsed.items() if parts is not None}
        found: dict[str, Found] = {}
        with contextlib.suppress(Unavailable):  # PostgreSQL has all that Redis has
            found = await self._redis.read(plan, entities)
        missing = {name: parts for name, parts in entities.items() if name not in found}
        unasked: Collection[str] = ()
        if missing:
            try:
                found |= await self._postgres.read(plan, missing)
            except Unavailable:
                if not found:
                    raise
                unasked = missing.keys()
        is_degraded = plan.view.topic in self._degraded
        return Answer(plan, found, unasked, is_degraded)
