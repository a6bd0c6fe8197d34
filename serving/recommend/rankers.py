"""Who gives the scores: the rules, popularity alone, or a model (`serving.recommend.model`).

A score is a function of the user and of one candidate, never of the other candidates; so the order
in which they come can never matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from serving.recommend.signals import Signal, Values, parts_of

__all__ = ["Candidate", "Label", "PopularityRanker", "Ranker", "RuleRanker", "Score"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item and what is known of it for this user."""

    id: str
    features: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """`parts`: what it is made of, where the ranker can say it."""

    value: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Label:
    """Which ranker, and which version of it."""

    name: str
    version: str


class Ranker(Protocol):
    """Scores candidates; higher is better."""

    @property
    def label(self) -> Label:
        """Goes into answers and impressions."""

    def score(self, user: Values, candidates: Sequence[Candidate]) -> list[Score]:
        """One score for each candidate, in their order."""


class RuleRanker:
    """The weighted sum of declared signals."""

    label = Label("rules", "1")

    def __init__(self, signals: Sequence[Signal]) -> None:
        self._signals = signals

    def score(self, user: Values, candidates: Sequence[Candidate]) -> list[Score]:
        parts = [parts_of(self._signals, user, each.features) for each in candidates]
        return [Score(sum(each.values()), each) for each in parts]


class PopularityRanker:
    """What most choose: for users of whom nothing is known."""

    label = Label("popularity", "1")

    def score(self, user: Values, candidates: Sequence[Candidate]) -> list[Score]:
        del user
        found = [float(each.features.get("popularity") or 0) for each in candidates]
        return [Score(value, {"popularity": value}) for value in found]
