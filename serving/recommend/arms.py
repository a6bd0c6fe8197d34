"""Arms of the test of rankers: a user always gets the same one, on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from serving.recommend.answer import Domain
from serving.recommend.rankers import Ranker

__all__ = ["Arm", "Arms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """`share`: of all users, 0..1. `ranker` ranks items of `domain`; rules rank everything else."""

    name: str
    share: float
    domain: Domain = "commerce"
    ranker: Ranker | None = None


class Arms:
    """Divides users among arms; another `experiment` divides them anew."""

    def __init__(self, arms: Sequence[Arm], *, experiment: str) -> None:
        self._arms, self._experiment = arms, experiment

    def of(self, user_id: str) -> Arm:
        """The user's arm: by the place of a hash between 0 and 1."""
        text = f"{self._experiment}\x1f{user_id}".encode("utf-8", "surrogatepass")
        place = int.from_bytes(blake2b(text, digest_size=8).digest(), "big") / 2**64
        for arm in self._arms:
            place -= arm.share
            if place < 0:
                return arm
        return self._arms[-1]
