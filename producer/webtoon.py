"""Readers of webtoons: enter, scroll down with pauses, then complete or leave.

A reading is one session of one episode. The table says what happens next; how far the reader is
turns `reading` into `bottom`, where the episode can be completed.
"""

from __future__ import annotations

from itertools import count
from random import Random

import msgspec

from features.contracts.webtoon import WEBTOON
from producer.catalogue import dimensions
from producer.journey import Emitted
from producer.population import Audience, Profile, Zipf
from producer.times import to_iso
from producer.transitions import Path, Step, Table, Walk, reweighted

__all__ = ["EXIT_FACTOR", "READER", "Webtoon"]

READER: Table = {
    "outside": (Step("enter", "entered", 1.0),),
    "entered": (
        Step("scroll", "reading", 0.93, (0.4, 4.0)),
        Step("exit", "left", 0.07, (0.5, 3.0)),
    ),
    "reading": (
        Step("scroll", "reading", 0.95, (0.3, 4.0)),
        Step("exit", "left", 0.05, (0.3, 6.0)),
    ),
    "bottom": (
        Step("complete", "left", 0.92, (0.2, 3.0)),
        Step("exit", "left", 0.08, (0.2, 5.0)),
    ),
}
# What the experiment changes: how readily a reader leaves.
EXIT_FACTOR = {"A": 1.0, "B": 0.8, "C": 1.25}
SCROLL = (0.03, 0.16)  # the part of an episode that one scroll passes


class ReadingEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """The JSON of one event, in the order in which clients write it."""

    user_id: str
    session_id: str
    episode_id: str
    event_type: str
    country: str
    device: str
    platform: str
    timestamp: str
    experiment_group: str
    ui_version: str
    event_id: str | None = None
    scroll_ratio: float | None = None


class Webtoon:
    """Opens readings: who, by the hour; what, by popularity."""

    topic = WEBTOON.topic

    def __init__(self, *, users: int, rng: Random, run: str) -> None:
        self._rng = rng
        self._run = run
        self._audience = Audience(users)
        self._episodes = [episode.episode_id for episode in dimensions().episodes]
        self._popularity = Zipf(len(self._episodes), exponent=1.0)
        self._walks = {
            group: Walk(reweighted(READER, "exit", factor)) for group, factor in EXIT_FACTOR.items()
        }
        self._numbers = count(1)

    def open(self, at_us: int) -> Reading:
        """Someone opens an episode."""
        reader = self._audience.draw(self._rng, at_us)
        number = next(self._numbers)
        return Reading(
            reader=reader,
            session_id=f"r-{self._run}-{number:06d}",
            episode_id=self._episodes[self._popularity.draw(self._rng)],
            walk=self._walks[reader.experiment_group],
            rng=self._rng,
        )


class Reading:
    """One session; `step` says what the reader does at that moment."""

    __slots__ = ("_count", "_episode_id", "_key", "_path", "_ratio", "_reader", "_rng")

    def __init__(
        self, *, reader: Profile, session_id: str, episode_id: str, walk: Walk, rng: Random
    ) -> None:
        self._reader = reader
        self._key = session_id
        self._episode_id = episode_id
        self._path = Path(walk, rng)
        self._rng = rng
        self._ratio = 0.0
        self._count = 0

    def step(self, at_us: int) -> Emitted:
        step = self._path.step
        state = self._scroll(step) if step.event == "scroll" else step.to
        value = self._encode(step.event, at_us)
        return WEBTOON.topic, self._key.encode(), value, self._path.follow(state)

    def _scroll(self, step: Step) -> str:
        least, most = SCROLL
        passed = least + (most - least) * self._rng.random()
        self._ratio = min(1.0, round(self._ratio + passed, 3))
        return "bottom" if self._ratio >= 1.0 else step.to

    def _encode(self, event: str, at_us: int) -> bytes:
        reader = self._reader
        self._count += 1
        return msgspec.json.encode(
            ReadingEvent(
                user_id=reader.user_id,
                session_id=self._key,
                episode_id=self._episode_id,
                event_type=event,
                country=reader.country,
                device=reader.device,
                platform=reader.platform,
                timestamp=to_iso(at_us),
                experiment_group=reader.experiment_group,
                ui_version=reader.ui_version,
                # The web client predates event ids: its events have the derived one.
                event_id=None if reader.platform == "web" else f"{self._key}-{self._count}",
                scroll_ratio=self._ratio if event in ("scroll", "exit") else None,
            )
        )
