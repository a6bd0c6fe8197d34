"""Half of a log, a setting that the checkpoint does not fit, a rebuild, the other half: what stands
in the stores is what the oracle computes of the whole, and it was there all the time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import redis
from comparing import differences, known, online, plain
from deltalake import DeltaTable
from oracle.sessions import final_watermark
from oracle.views import Log, expected

from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.views import VIEWS
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.repair import served_views
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis_text import key_of, text_of

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(1800)]
START_US = 1_790_000_000 * 1_000_000
TOPICS = ("webtoon_user_events", "user-events")
JOBS = ("--jobs", "webtoon,commerce")
FOUR = {"USERFLOW_BUCKETS": "4"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """`counts`: rows of `user_features` as anybody could read them during the rebuild."""

    stack: Endpoints
    events: dict[str, list[Row]]
    before: dict[str, Any]
    refused: subprocess.CompletedProcess[str]
    refused_before_the_rest: subprocess.CompletedProcess[str]
    counts: list[int]
    rebuilt: list[Row]
    completed: list[Row]
    after: dict[str, Any]
    second: Row


def sent(domain: str) -> list[Sent]:
    """In the order of arrival: sessions and copies lie on both sides of the middle."""
    simulation = Simulation(
        domain=domain,
        rate=60,
        duration=40,
        users=60,
        seed=5,
        start_us=START_US,
        bad_rate=0.02,
        duplicate_rate=0.05,
        disorder_rate=0.1,
    )
    return list(simulate(simulation))


def command(home: Path, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra", *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def userflow(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    running = command(home, *arguments, **settings)
    out, err = running.communicate(timeout=600)
    return subprocess.CompletedProcess(arguments, running.returncode, out, err)


def done(of: subprocess.CompletedProcess[str]) -> Any:
    assert of.returncode == 0, of.stderr[-3000:]
    return json.loads(of.stdout.splitlines()[-1])


def watched(stack: Endpoints, home: Path) -> tuple[list[int], Any]:
    """Rebuild, and look meanwhile."""
    running, counts = command(home, "rebuild", *JOBS, "--json", **FOUR), []
    with psycopg.connect(stack.postgres, autocommit=True) as connection:
        while running.poll() is None:
            found = connection.execute("SELECT count(*) FROM online.user_features").fetchone()
            counts.append(found[0] if found else 0)
            time.sleep(0.2)
    out, err = running.communicate()
    return counts, done(subprocess.CompletedProcess((), running.returncode, out, err))


def interrupt(stack: Endpoints) -> None:
    """As if the rebuild had died right behind the switch."""
    with psycopg.connect(stack.postgres) as connection:
        for generation, state in ((2, "building"), (1, "active")):
            connection.execute(
                "UPDATE ops.stream_checkpoints SET state = %s WHERE generation = %s",
                [state, generation],
            )


def logs(stack: Endpoints) -> dict[str, pl.DataFrame]:
    return {
        view: pl.DataFrame(DeltaTable(f"{stack.lake}/features/{view}").to_pyarrow_table())
        for view in VIEWS
    }


@pytest.fixture(scope="module")
def run(stack: Endpoints, stack_home: Path) -> Run:
    everything = [sent("webtoon"), sent("commerce")]
    halves = [(log[: len(log) // 2], log[len(log) // 2 :]) for log in everything]
    stream = ("stream", *JOBS, "--available-now", "--json")
    with KafkaSink(stack.kafka) as sink:
        sink.send([one for first, _ in halves for one in first])
    done(userflow(stack_home, *stream))
    before = {view: online(stack, view) for view in VIEWS}
    refused = userflow(stack_home, *stream, **FOUR)
    counts, rebuilt = watched(stack, stack_home)
    log_before = logs(stack)
    interrupt(stack)
    interrupted = userflow(stack_home, *stream, **FOUR)
    completed = done(userflow(stack_home, "rebuild", *JOBS, "--json", **FOUR))
    assert {view: one.height for view, one in logs(stack).items()} == {
        view: one.height for view, one in log_before.items()
    }
    after = {view: online(stack, view) for view in VIEWS}
    with KafkaSink(stack.kafka) as sink:
        sink.send([one for first, second in halves for one in (*second, *first[-100:])])
    second = done(userflow(stack_home, *stream, **FOUR))
    events = {topic: accepted(topic, [*chain(*everything)]) for topic in TOPICS}
    return Run(
        stack,
        events,
        before,
        refused,
        interrupted,
        counts,
        rebuilt,
        completed,
        after,
        second,
    )


def accepted(topic: str, log: Sequence[Sent]) -> list[Row]:
    """What validation lets pass (proved by its own tests), each event once."""
    mine = [one for one in log if one.topic == topic]
    received = pl.Series([(one.received_at_ms or 0) * 1000 for one in mine], dtype=pl.Int64)
    events = Decoder(CONTRACTS[topic]).decode([one.value for one in mine], received).events
    rows = events.with_columns(pl.col("event_at").dt.timestamp("us")).to_dicts()
    return [*{row["event_id"]: row for row in rows}.values()]


def features(view: str, rows: dict[Any, Row]) -> dict[Any, Row]:
    names = [column.name for column in VIEWS[view].features]
    return {key: {name: row[name] for name in names} for key, row in rows.items()}


def test_the_stream_refuses_and_says_what_to_do(run: Run) -> None:
    assert run.refused.returncode == 1
    assert "was made with buckets 2 (now 4)" in run.refused.stderr
    assert "run `userflow rebuild --jobs webtoon`" in run.refused.stderr
    assert "Traceback" not in run.refused.stderr


def test_what_is_served_stays_until_the_switch(run: Run) -> None:
    assert len(run.counts) > 5
    assert min(run.counts) == max(run.counts) == len(run.before["user_features"]) > 5


@pytest.mark.parametrize("view", VIEWS)
def test_the_rebuilt_rows_show_what_the_old_ones_did(run: Run, view: str) -> None:
    before, after = features(view, run.before[view]), features(view, run.after[view])
    assert after.keys() == before.keys()
    for key, row in before.items():
        assert not differences(after[key], row), key
    assert {row["generation"] for row in run.after[view].values()} == {2}
    [summary] = [one for one in run.rebuilt if view in one["rows"]]
    assert (summary["generation"], summary["rows"][view]) == (2, len(before))
    assert not any(summary["gone"].values())


def test_a_rebuild_that_died_behind_the_switch_is_completed_first(run: Run) -> None:
    assert run.refused_before_the_rest.returncode == 1
    assert "was interrupted" in run.refused_before_the_rest.stderr
    for first, second in zip(run.rebuilt, run.completed, strict=True):
        assert (second["generation"], second["rows"]) == (2, first["rows"])


@pytest.mark.parametrize("view", VIEWS)
def test_postgresql_holds_what_the_oracle_computes_of_the_whole_log(run: Run, view: str) -> None:
    events = run.events[VIEWS[view].topic]
    log = Log(
        events,
        final_watermark(events),
        known(run.stack, "episodes", "episode_id", "genre"),
        known(run.stack, "products", "product_id", "category"),
    )
    wanted, rows = expected(view, log), online(run.stack, view)
    assert rows.keys() == wanted.keys()
    for key, row in wanted.items():
        assert not differences(rows[key], row), key


def test_every_event_is_archived_once_and_copies_of_before_are_known(run: Run) -> None:
    for topic, events in run.events.items():
        path = topic.replace("-", "_")
        archive = pl.DataFrame(DeltaTable(f"{run.stack.lake}/events/{path}").to_pyarrow_table())
        assert archive.height == archive["event_id"].n_unique() == len(events)
    assert all(one["duplicates"] >= 90 for one in run.second)
    with psycopg.connect(run.stack.postgres) as connection:
        late = "SELECT count(*) FROM ops.dead_letters WHERE reason_code = 'late'"
        assert connection.execute(late).fetchone() == (0,)


@pytest.mark.parametrize("view", served_views())
def test_redis_holds_what_postgresql_holds(run: Run, view: str) -> None:
    declared = VIEWS[view]
    store = PostgresEpochStore(pipeline_conninfo(run.stack.postgres))
    rows = store.newest(view)
    store.close()
    texts = rows.select(key_of(declared.redis_key).alias(":"), *map(text_of, declared.columns))
    client = redis.Redis.from_url(run.stack.redis, decode_responses=True)
    assert texts.height > 2
    for row in texts.iter_rows(named=True):
        served = client.hgetall(row.pop(":"))
        assert {name: served.get(name) for name in row} == row


@pytest.mark.parametrize("view", VIEWS)
def test_the_log_ends_with_what_is_served(run: Run, view: str) -> None:
    declared, rows = VIEWS[view], online(run.stack, view)
    log = logs(run.stack)[view].sort("generation", "batch_id")
    newest = log.unique(declared.key, keep="last", maintain_order=True)
    kept = newest.filter(~pl.col("is_deleted")).to_dicts()
    found = {
        tuple(plain(row[part]) for part in declared.key): {n: plain(v) for n, v in row.items()}
        for row in kept
    }
    assert features(view, found) == features(view, rows)
    for key, row in rows.items():
        assert found[key]["generation"] == row["generation"]
        assert found[key]["available_at"] == row["updated_at"]
