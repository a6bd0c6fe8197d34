"""The backfill against the stream and the oracles, for every view: what Kafka brought out of order,
late, twice or broken is in the archive, and gives the same features again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from comparing import differences, known, online, plain
from deltalake import DeltaTable
from oracle.sessions import final_watermark
from oracle.views import Log, expected
from polars.testing import assert_frame_equal

from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.views import VIEWS
from infra.endpoints import Endpoints
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
SECOND = 1_000_000
MINUTE = 60 * SECOND
# Five minutes before midnight: the log has two days, and late events a few hours.
START_US = 1_790_035_200 * SECOND - 5 * MINUTE
FIRST, LAST = date(2026, 9, 21), date(2026, 9, 22)
TOPICS = ("webtoon_user_events", "user-events")
Row = dict[str, Any]
Key = tuple[Any, ...]
Rows = dict[Key, Row]


@dataclass(frozen=True)
class Run:
    stack: Endpoints
    home: Path
    events: dict[str, list[Row]]
    first: Row
    log: dict[str, pl.DataFrame]


def sent(domain: str, start_us: int, seed: int) -> Iterator[Sent]:
    return simulate(
        Simulation(
            domain=domain,
            rate=60,
            duration=15,
            users=60,
            seed=seed,
            start_us=start_us,
            bad_rate=0.02,
            late_rate=0.02,
            duplicate_rate=0.05,
            disorder_rate=0.1,
        )
    )


def userflow(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def backfill(home: Path, *arguments: str) -> Row:
    days = ("--from", FIRST.isoformat(), "--to", LAST.isoformat())
    done = userflow(home, "backfill", *days, "--json", *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    summary: Row = json.loads(done.stdout)
    return summary


@pytest.fixture(scope="module")
def run(stack: Endpoints, stack_home: Path) -> Run:
    log = [
        one
        for number, start_us in enumerate((START_US, START_US + 50 * MINUTE))
        for domain in ("webtoon", "commerce")
        for one in sent(domain, start_us, seed=number + 3)
    ]
    with KafkaSink(stack.kafka) as sink:
        sink.send(log)
    jobs = ("--jobs", "webtoon,commerce")
    done = userflow(stack_home, "stream", *jobs, "--available-now", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    summary = backfill(stack_home)
    events = {topic: accepted(topic, log) for topic in TOPICS}
    logs = {view: feature_log(stack, view) for view in VIEWS}
    return Run(stack, stack_home, events, summary, logs)


def accepted(topic: str, log: Sequence[Sent]) -> list[Row]:
    """What validation lets pass (proved by its own tests), each event once."""
    mine = [one for one in log if one.topic == topic]
    received = pl.Series([(one.received_at_ms or 0) * 1000 for one in mine], dtype=pl.Int64)
    events = Decoder(CONTRACTS[topic]).decode([one.value for one in mine], received).events
    rows = events.with_columns(pl.col("event_at").dt.timestamp("us")).to_dicts()
    return [*{row["event_id"]: row for row in rows}.values()]


def feature_log(stack: Endpoints, view: str) -> pl.DataFrame:
    """The whole log, of every generation."""
    return pl.DataFrame(DeltaTable(f"{stack.lake}/features/{view}").to_pyarrow_table())


def backfilled(run: Run, view: str) -> Rows:
    """The last row of each entity that is still there."""
    key = VIEWS[view].key
    log = run.log[view].filter(generation=0).sort("batch_id").unique(key, keep="last")
    rows = log.filter(~pl.col("is_deleted")).to_dicts()
    return {
        tuple(plain(row[part]) for part in key): {name: plain(row[name]) for name in row}
        for row in rows
    }


def log_of(run: Run, view: str) -> Log:
    events = run.events[VIEWS[view].topic]
    return Log(
        events,
        final_watermark(events),
        known(run.stack, "episodes", "episode_id", "genre"),
        known(run.stack, "products", "product_id", "category"),
    )


def assert_same(view: str, found: Rows, wanted: Rows) -> None:
    features = {column.name for column in VIEWS[view].features}
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        assert not differences(found[key], {n: row[n] for n in row.keys() & features}), key


@pytest.mark.parametrize("view", VIEWS)
def test_the_last_rows_are_what_the_stream_serves(run: Run, view: str) -> None:
    wanted = online(run.stack, view)
    assert len(wanted) > 2
    assert_same(view, backfilled(run, view), wanted)


@pytest.mark.parametrize("view", VIEWS)
def test_the_last_rows_are_what_the_oracle_computes(run: Run, view: str) -> None:
    assert_same(view, backfilled(run, view), expected(view, log_of(run, view)))


@pytest.mark.parametrize("view", VIEWS)
def test_no_row_knows_the_future_and_what_was_served_is_untouched(run: Run, view: str) -> None:
    log = run.log[view].filter(generation=0)
    hour = timedelta(hours=1)
    assert (log["available_at"] > log["event_at"]).all()
    assert log["available_at"].dt.truncate("1h").equals(log["available_at"])
    assert log.select(*VIEWS[view].key, "available_at").is_unique().all()
    assert log["available_at"].n_unique() > 1
    begin = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    assert log["available_at"].min() >= begin + hour  # type: ignore[operator]
    assert run.first["rows"][view] == log.height
    served = run.log[view].filter(generation=1)
    assert served.height > 2


def test_a_second_run_changes_nothing(run: Run) -> None:
    again = backfill(run.home)
    assert (again["events"], again["rows"]) == (run.first["events"], run.first["rows"])
    for view in VIEWS:
        assert_same_log(view, feature_log(run.stack, view), run.log[view])


def assert_same_log(view: str, found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    order = ["generation", "batch_id", *VIEWS[view].key]
    assert_frame_equal(found.sort(order), wanted.sort(order), rel_tol=1e-9)
