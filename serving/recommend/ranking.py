"""From candidates to the list that is shown: pure, and the same for every order they come in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.recommend.rankers import Candidate, Ranker
from serving.recommend.signals import Reason, Signal, Values, reason_of

__all__ = ["Item", "rank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One recommended item; `values`: the features that decided, `parts`: what the score is of."""

    id: str
    rank: int
    score: float
    reason: Reason
    values: Mapping[str, Any]
    parts: Mapping[str, float]


def rank(
    candidates: Iterable[Candidate],
    *,
    user: Values,
    ranker: Ranker,
    signals: Sequence[Signal],
    k: int,
    without: Collection[str] = (),
) -> list[Item]:
    """The best `k` by score, ties by id; what is in `without` is never among them."""
    eligible = [each for each in candidates if each.id not in without]
    scored = zip(eligible, ranker.score(user, eligible), strict=True)
    best = sorted(scored, key=lambda pair: (-pair[1].value, pair[0].id))[:k]
    return [
        Item(
            id=candidate.id,
            rank=place,
            score=score.value,
            reason=reason_of(signals, user, candidate.features),
            values=candidate.features,
            parts=score.parts,
        )
        for place, (candidate, score) in enumerate(best, start=1)
    ]
