"""What the stores know for a reader: who it is, and episodes as of now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.recommend.answer import Asked, Found
from serving.recommend.catalogue import Catalogue, Keeper
from serving.recommend.patience import Patience
from serving.recommend.ports import Features
from serving.recommend.reading import candidate_ids, in_segment, reader, to_candidates
from serving.recommend.rows import rows_of

__all__ = ["EPISODE_FEATURES", "Episodes", "KnownReader"]

USERS, EPISODES = "user_features", "episode_features"
USER_FEATURES = ("country", "top_genre_24h", "top_genre_7d", "last_episode_ids", "last_seen_at")
EPISODE_FEATURES = (
    "genre",
    "avg_rating",
    "read_count_24h",
    "read_count_7d",
    "avg_completion_rate_7d",
    "exit_rate_7d",
    "current_popularity_rank",
    "content_quality_score",
    "quality_label",
)
# Beyond the k that are asked for: some may be excluded when they are looked at.
SPARE = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownReader:
    """`live`: the reader's features, empty for one that nobody has seen."""

    live: Mapping[str, Any]

    @property
    def is_known(self) -> bool:
        """Whether there is anything to go by."""
        return any(value for value in self.live.values())

    @property
    def last_seen_at(self) -> str | None:
        """When the last event was."""
        return self.live.get("last_seen_at")


class Episodes:
    """Reads for readers."""

    def __init__(self, features: Features, catalogue: Keeper) -> None:
        self._features, self.catalogue = features, catalogue

    async def known(self, user_id: str, patience: Patience) -> KnownReader:
        """What is known of a user."""
        rows = await rows_of(self._features, patience, USERS, [user_id], USER_FEATURES)
        return KnownReader(live=rows.get(user_id, {}))

    async def find(self, asked: Asked, known: KnownReader, patience: Patience) -> Found:
        """Candidates: popular ones of the genres that the reader likes, and of all; for one that
        is not known, of the segment. What was read lately is not shown again.
        """
        catalogue = await self.catalogue.get(patience)
        user = reader({"country": asked.country, **_known(known.live)}, catalogue)
        read = frozenset(known.live.get("last_episode_ids") or ())
        ids = self._ids(asked, known, user, catalogue, read)
        live = await rows_of(self._features, patience, EPISODES, ids, EPISODE_FEATURES)
        return Found(
            user=user,
            candidates=to_candidates(ids, live, catalogue),
            without=read,
            is_cold=not known.is_known,
            views=(USERS, EPISODES),
        )

    def _ids(
        self,
        asked: Asked,
        known: KnownReader,
        user: Mapping[str, Any],
        catalogue: Catalogue,
        read: frozenset[str],
    ) -> Sequence[str]:
        if known.is_known:
            return candidate_ids(user, catalogue, read, asked.k)
        return in_segment(asked.country, asked.genre, catalogue)[: asked.k + SPARE]


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
