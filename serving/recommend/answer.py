"""What is asked and what is answered, as values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serving.online.served import SERVED
from serving.recommend.rankers import Candidate, Label
from serving.recommend.ranking import Item

__all__ = ["Answer", "Asked", "Domain", "Found"]

Domain = Literal["commerce", "webtoon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`domain` None: that of the user. `country` and `genre` are for readers nobody knows."""

    request_id: str
    user_id: str
    k: int
    domain: Domain | None = None
    country: str | None = None
    genre: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the stores know for one answer. `is_cold`: nothing of the user, so popularity ranks.

    `without`: never shown. `views`: where the values are from.
    """

    user: Mapping[str, Any]
    candidates: Sequence[Candidate]
    without: Collection[str]
    is_cold: bool
    views: Sequence[str]

    @property
    def feature_versions(self) -> dict[str, int]:
        """The declared version of each view."""
        return {name: SERVED[name].version for name in self.views}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`degraded`: what was left out, as it did not come in time."""

    asked: Asked
    domain: Domain
    arm: str
    ranker: Label
    found: Found
    items: Sequence[Item]
    degraded: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "request_id": self.asked.request_id,
            "user_id": self.asked.user_id,
            "domain": self.domain,
            "arm": self.arm,
            "model": {"name": self.ranker.name, "version": self.ranker.version},
            "cold_start": self.found.is_cold,
            "degraded": list(self.degraded),
            "items": [_item(item) for item in self.items],
        }


def _item(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "rank": item.rank,
        "score": item.score,
        "reason": item.reason.code,
        "because": item.reason.sentence,
        "values": dict(item.values),
        "parts": dict(item.parts),
    }
