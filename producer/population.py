"""Who the users are: a fixed person per user number, so that no run ever contradicts another.

`user_00042` has the same country, platform, device and experiment group under every seed; the seed
decides only who comes when, and what they do.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import TypeVar

from producer.places import address
from producer.times import HOUR_US

__all__ = ["GROUPS", "Audience", "Profile", "Zipf", "profile"]

T = TypeVar("T")

# country -> (share, hours east of Greenwich; standard time all year, so that no zone database
# decides the bytes of a log)
COUNTRIES: Mapping[str, tuple[float, int]] = {
    "KR": (0.42, 9),
    "JP": (0.18, 9),
    "US": (0.14, -5),
    "TW": (0.07, 8),
    "TH": (0.06, 7),
    "ID": (0.05, 7),
    "FR": (0.04, 1),
    "DE": (0.04, 1),
}
# (platform, device) -> share: the only pairs that exist
EQUIPMENT: Mapping[tuple[str, str], float] = {
    ("ios", "mobile"): 0.32,
    ("ios", "tablet"): 0.08,
    ("android", "mobile"): 0.34,
    ("android", "tablet"): 0.05,
    ("web", "desktop"): 0.18,
    ("web", "tablet"): 0.01,
    ("web", "mobile"): 0.02,
}
# group -> its user-interface versions, the usual one first; the second is a small holdout
GROUPS: Mapping[str, tuple[str, str]] = {
    "A": ("3.0", "2.9"),
    "B": ("3.1", "3.0"),
    "C": ("3.2", "3.0"),
}
SEGMENTS: Mapping[str, float] = {"new": 0.3, "regular": 0.5, "vip": 0.08, "dormant": 0.12}
HOLDOUT = 0.1

# How awake a country is at each hour of its own day: low at 4, a bump at noon, high at 22.
AWAKE = (
    *(0.70, 0.50, 0.38, 0.32, 0.30, 0.32, 0.42, 0.58, 0.66, 0.62, 0.60, 0.66),
    *(0.78, 0.72, 0.62, 0.62, 0.66, 0.74, 0.80, 0.84, 0.90, 0.97, 1.00, 0.90),
)
TRIES = 6


@dataclass(frozen=True, slots=True)
class Profile:
    """What never changes about a user."""

    user_id: str
    country: str
    utc_offset: int
    platform: str
    device: str
    experiment_group: str
    ui_version: str
    segment: str
    ip: str


class Zipf:
    """Draws an index in 0..count-1, the n-th one in proportion to 1 / n**exponent."""

    __slots__ = ("_sums",)

    def __init__(self, count: int, exponent: float) -> None:
        self._sums = tuple(accumulate(rank**-exponent for rank in range(1, count + 1)))

    def draw(self, rng: Random) -> int:
        """One index."""
        return bisect(self._sums, rng.random() * self._sums[-1], 0, len(self._sums) - 1)


class Audience:
    """Draws users: some come often, and a country asleep comes less."""

    __slots__ = ("_popularity",)

    def __init__(self, users: int) -> None:
        self._popularity = Zipf(users, exponent=0.5)

    def draw(self, rng: Random, at_us: int) -> Profile:
        """Someone who is awake, or after a few tries someone who is not."""
        for _ in range(TRIES):
            user = profile(self._popularity.draw(rng))
            hour = (at_us // HOUR_US + user.utc_offset) % 24
            if rng.random() < AWAKE[hour]:
                break
        return user


@lru_cache(maxsize=1 << 20)
def profile(index: int) -> Profile:
    """The user of that number, from 0."""
    rng = Random(f"user:{index}")  # noqa: S311 - simulation, not cryptography
    country = _pick(rng, {name: share for name, (share, _) in COUNTRIES.items()})
    platform, device = _pick(rng, EQUIPMENT)
    group = rng.choice(tuple(GROUPS))
    return Profile(
        user_id=f"user_{index + 1:05d}",
        country=country,
        utc_offset=COUNTRIES[country][1],
        platform=platform,
        device=device,
        experiment_group=group,
        ui_version=GROUPS[group][rng.random() < HOLDOUT],
        segment=_pick(rng, SEGMENTS),
        ip=address(country, rng),
    )


def _pick(rng: Random, shares: Mapping[T, float]) -> T:
    return rng.choices(tuple(shares), tuple(shares.values()))[0]
