"""As served is what the stores showed: after epochs, deletions, a rebuild and a backfill."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from comparing import online, plain
from redis import Redis

from features.columns import polars_schema
from features.views import VIEWS
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from serving.training import training_set
from streaming.ports import DEAD, Clock, Epoch, Output
from streaming.sinks.delta import DeltaSink
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink

pytestmark = pytest.mark.stack
VIEW = VIEWS["derived_session_features"]
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=10)
ENTITIES = [
    (f"shown-{user}", START + timedelta(hours=hour)) for user in range(4) for hour in (0, 1)
]
STEPS = 16
REBUILT_AT = 9
Shown = dict[tuple[Any, ...], Any]


@dataclass(frozen=True)
class Story:
    """What each store showed at some moments."""

    lake: str
    postgres: dict[datetime, Shown]
    redis: dict[datetime, Shown]


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {**polars_schema(VIEW.columns), "event_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema=schema).with_columns(by_event=pl.lit(value=True))


def output(rng: random.Random, number: int) -> Output:
    """Some entities change, others are no more."""
    touched = rng.sample(ENTITIES, 5)
    at = START + number * EVERY
    keys = [dict(zip(VIEW.key, entity, strict=True)) for entity in touched]
    counts = [number * 100 + place for place in range(len(keys))]
    rows = [
        {**key, "event_count": count, "duration_seconds": count / 2, "event_at": at}
        for key, count in zip(keys[:3], counts, strict=False)
    ]
    gone = frame([{**key, "event_at": at} for key in keys[3:]])
    return Output(
        rows={VIEW.name: frame(rows)},
        gone={VIEW.name: gone.select(*VIEW.key, "event_at")},
        events={},
        dead=pl.DataFrame(schema=DEAD),
        rows_in=len(rows),
        duplicates=0,
    )


def epoch(step: int) -> Epoch:
    """A rebuild begins again at -1, in the next generation."""
    is_rebuilt = step >= REBUILT_AT
    return Epoch(
        job="shown",
        checkpoint_id=f"shown-{is_rebuilt}",
        number=step - REBUILT_AT - 1 if is_rebuilt else step,
        generation=1 + is_rebuilt,
        committed_at_us=round((START + step * EVERY).timestamp() * 1_000_000),
    )


def in_postgres(stack: Endpoints) -> Shown:
    rows = online(stack, VIEW.name)
    return {key: row["event_count"] for key, row in rows.items() if key[0].startswith("shown-")}


def redis_key(user: str, start: datetime) -> str:
    return f"session_features:{user}:{round(start.timestamp() * 1000)}"


def in_redis(client: Any) -> Shown:
    found = {}
    for user, start in ENTITIES:
        if count := client.hget(redis_key(user, start), "event_count"):
            found[user, plain(start)] = int(count)
    return found


@pytest.fixture(scope="module")
def story(stack: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    lake = str(tmp_path_factory.mktemp("lake"))
    log, rng = DeltaSink(lake), random.Random(7)
    told = Story(lake, {}, {})
    with (
        closing(PostgresEpochStore(pipeline_conninfo(stack.postgres))) as store,
        closing(RedisSink(stack.redis)) as served,
        closing(Redis.from_url(stack.redis, decode_responses=True)) as client,
    ):
        for step in range(STEPS):
            committed, changes, _ = store.commit(epoch(step), output(rng, step), Clock())
            served.write(committed, changes)
            if committed.number < 0:  # as a rebuild does
                log.replace(VIEW.name, [(committed, changes)], "generation = 2 AND batch_id = -1")
            else:
                log.write(committed, changes)
            moment = START + step * EVERY + EVERY / 2
            told.postgres[moment], told.redis[moment] = in_postgres(stack), in_redis(client)
        backfilled = replace(epoch(3), number=STEPS, generation=0)
        log.replace(VIEW.name, [(backfilled, output(rng, 999))], "generation = 0")
        yield told
        with psycopg.connect(stack.postgres, autocommit=True) as connection:
            connection.execute(f"DELETE FROM online.{VIEW.name} WHERE user_id LIKE 'shown-%'")
        client.delete(*(redis_key(*entity) for entity in ENTITIES))


def found_at(lake: str, moments: list[datetime], mode: Any) -> dict[datetime, Shown]:
    asked = [(*entity, moment) for entity in ENTITIES for moment in moments]
    random.Random(1).shuffle(asked)
    labels = pl.DataFrame(asked, schema=[*VIEW.key, "label_at"], orient="row")
    made = training_set(labels, f"{VIEW.name}:event_count", lake=lake, mode=mode)
    found: dict[datetime, Shown] = {moment: {} for moment in moments}
    for user, start, moment, count in made.rows():
        if count is not None:
            found[moment][user, plain(start)] = count
    return found


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_as_served_is_what_the_store_showed(story: Story, store: str) -> None:
    shown = getattr(story, store)
    assert len({len(rows) for rows in shown.values()}) > 1  # some were deleted
    before = START - EVERY
    wanted = {before: {}, **shown}
    assert found_at(story.lake, list(wanted), "as-served") == wanted


def test_what_was_backfilled_is_seen_by_event_time_alone(story: Story) -> None:
    later = START + 9999 * EVERY
    newest = max(story.postgres)
    assert found_at(story.lake, [later], "as-served")[later] == story.postgres[newest]
    by_event = found_at(story.lake, [later], "event-time")[later]
    assert {count for count in by_event.values() if count >= 99_900} == {99_900, 99_901, 99_902}
