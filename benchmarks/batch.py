"""`userflow bench batch`: one simulated day, from its file to the four marts, step by step.

A step is a name and how long it took.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from benchmarks.home import Say, temporary_home
from benchmarks.machine import cpu_times, stolen
from features.contracts.commerce import COMMERCE
from infra.marts import build_marts
from infra.raw_load import load_raw
from producer.bad import carried_by
from producer.run import run, unpaced
from producer.simulate import Simulation, simulate
from producer.sinks.jsonl import JsonlSink

__all__ = ["Batch", "measure"]

DAY = date(2026, 1, 1)
DAY_SECONDS = 86_400.0
USERS = 50_000
# A day has some of both, and is loaded all the same.
BAD, TWICE = 0.001, 0.001
MARTS_STEP = "marts"
MARTS = ("mart_user_daily", "mart_funnel_daily", "mart_product_daily", "mart_orders")


@dataclass(frozen=True, slots=True)
class Batch:
    """`seconds` by step, in their order; `failed`: events that were left out."""

    events: int
    failed: int
    bytes: int
    seconds: Mapping[str, float]
    stolen: float

    @property
    def load(self) -> float:
        """Seconds from the file to the table: all but the marts."""
        return self.total - self.seconds.get(MARTS_STEP, 0.0)

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return sum(self.seconds.values())

    def to_json(self) -> dict[str, object]:
        """The document that `--json` prints."""
        return {
            **asdict(self),
            "load": self.load,
            "total": self.total,
            "events_per_second": self.events / self.total,
        }


def measure(events: int, *, say: Say) -> Batch:
    """A day of that many shopping events, in a home of its own."""
    with temporary_home() as place:
        say(f"simulating {events:,} events ...")
        path = place.settings.home / "landing" / DAY.isoformat() / f"{COMMERCE.topic}.jsonl"
        _simulate(events, path)
        say("loading the day ...")
        before = cpu_times()
        done = load_raw(place.settings, DAY)
        say(f"building and testing {len(MARTS)} marts ...")
        built = build_marts(place.settings, DAY, MARTS)
        return Batch(
            events=done.events,
            failed=done.failed,
            bytes=path.stat().st_size,
            seconds={**done.seconds, MARTS_STEP: built.seconds},
            stolen=stolen(before),
        )


def _simulate(events: int, path: Path) -> None:
    simulation = Simulation(
        domain="commerce",
        rate=events / DAY_SECONDS,
        duration=DAY_SECONDS,
        users=USERS,
        seed=1,
        start_us=int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp()) * 1_000_000,
        bad_rate=BAD,
        duplicate_rate=TWICE,
        bad_kinds=carried_by("jsonl"),
    )
    run(unpaced(simulate(simulation)), JsonlSink(path), stopped=threading.Event())
