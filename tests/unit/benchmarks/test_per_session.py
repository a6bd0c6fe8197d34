"""A peer is compared with what computes the same: its sessions are ours."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from benchmarks.peers.per_session import COLUMNS, update
from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.webtoon_session import WEBTOON_SESSION
from producer.simulate import Simulation, simulate

TOPIC = "webtoon_user_events"


class State:
    """As much of Spark's `GroupState` as a session uses."""

    def __init__(self) -> None:
        self.get: Any = None

    @property
    def exists(self) -> bool:
        return self.get is not None

    def update(self, value: Any) -> None:
        self.get = value


def events() -> pl.DataFrame:
    simulation = Simulation(
        domain="webtoon", rate=50, duration=60, users=100, seed=3, start_us=1_790_000_000_000_000
    )
    sent = list(simulate(simulation))
    received = pl.Series([one.due_us for one in sent], dtype=pl.Int64)
    decoded = Decoder(CONTRACTS[TOPIC]).decode([one.value for one in sent], received)
    log = decoded.events.with_columns(pl.col("event_at").dt.timestamp("us"))
    left = log.filter(event_type="complete").with_columns(
        event_type=pl.lit("exit"), event_id=pl.col("event_id") + "-left"
    )
    return pl.concat([log, left])


def test_its_rows_are_those_of_the_session_job_however_the_events_are_split() -> None:
    log = events()
    watermark = int(log["event_at"].min()) - 1  # type: ignore[arg-type]
    of_episodes = log.with_columns(genre=pl.lit(None, pl.String))
    step = WEBTOON_SESSION.step(WEBTOON_SESSION.empty(), of_episodes, watermark)
    wanted = {(row["session_id"], row["episode_id"]): row for row in step.rows.to_dicts()}
    found = {}
    given = log.rename({"event_at": "timestamp"})
    for key, part in given.partition_by("session_id", "episode_id", as_dict=True).items():
        state = State()
        for half in (part[part.height // 2 :], part[: part.height // 2]):
            frames = iter([half.to_pandas()] if half.height else [])
            for rows in update(key, frames, state):  # type: ignore[arg-type]
                found[key] = dict(zip(COLUMNS, rows.to_numpy()[0], strict=True))
    assert len(found) > 100
    assert found.keys() == wanted.keys()
    for key, row in found.items():
        assert row == {
            name: pytest.approx(wanted[key][name], nan_ok=True) if name in MEANS else value
            for name, value in wanted[key].items()
            if name in COLUMNS
        }


MEANS = ("avg_scroll_ratio",)
