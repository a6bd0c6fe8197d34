"""What `userflow bench serving` reads: readers with features, and requests whose ids follow Zipf.

All of it is seeded. A few readers are asked for often and most seldom, as people are; within one
request no reader comes twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from random import Random

import polars as pl

from features.views import VIEWS
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from streaming.ports import DEAD, Clock, Epoch, Output
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink

__all__ = [
    "ASKED",
    "VIEW",
    "bodies_for_feast",
    "bodies_for_us",
    "load_stores",
    "readers",
    "zipf_ids",
]

VIEW = VIEWS["user_features"]
# Numbers of both kinds, texts and a time.
ASKED = (
    *(f"read_count_{window}" for window in ("1h", "24h", "7d")),
    *(f"avg_completion_rate_{window}" for window in ("1h", "24h", "7d")),
    *(f"exit_rate_{window}" for window in ("1h", "24h", "7d")),
    "top_genre_7d",
    "country",
    "last_seen_at",
)
EXPONENT = 1.0
WINDOWS = ("1h", "24h", "7d")
GENRES, COUNTRIES = ("romance", "fantasy", "action", "thriller", "drama"), ("KR", "JP", "US")
ROWS_PER_EPOCH = 20_000


def readers(count: int, *, seed: int, now_us: int) -> pl.DataFrame:
    """Rows of the view, with `event_at` and `by_event`; none of the features is null."""
    rng = Random(seed)  # noqa: S311 - seeded on purpose
    user_ids = [f"reader-{number:07d}" for number in range(count)]
    columns: dict[str, Sequence[object]] = {"user_id": user_ids}
    for window in WINDOWS:
        columns[f"read_count_{window}"] = [rng.randrange(1, 200) for _ in range(count)]
        for ratio in ("avg_completion_rate", "exit_rate"):
            columns[f"{ratio}_{window}"] = [rng.random() for _ in range(count)]
        columns[f"avg_dwell_time_ms_{window}"] = [rng.uniform(1e3, 1e6) for _ in range(count)]
        columns[f"top_genre_{window}"] = rng.choices(GENRES, k=count)
    columns["country"] = rng.choices(COUNTRIES, k=count)
    columns["last_episode_ids"] = [[f"ep_{rng.randrange(500)}"] * 3 for _ in range(count)]
    seen = [datetime.fromtimestamp(now_us / 1e6 - rng.randrange(3600), UTC) for _ in range(count)]
    columns["last_seen_at"] = columns["event_at"] = seen
    frame = pl.DataFrame(columns).with_columns(by_event=pl.lit(value=True))
    return frame.select(*(c.name for c in VIEW.columns), "event_at", "by_event")


def load_stores(endpoints: Endpoints, rows: pl.DataFrame, *, now_us: int) -> None:
    """Write the rows as a stream does, in epochs: PostgreSQL answers where Redis is too slow."""
    store = PostgresEpochStore(pipeline_conninfo(endpoints.postgres))
    sink = RedisSink(endpoints.redis)
    try:
        for number, part in enumerate(rows.iter_slices(ROWS_PER_EPOCH)):
            epoch = Epoch(
                job="bench",  # a stream of the same name would miss its checkpoint
                checkpoint_id="bench",
                number=number,
                generation=1,
                committed_at_us=now_us,
            )
            sink.write(*store.commit(epoch, _changed(part), Clock())[:2])
    finally:
        sink.close()
        store.close()


def _changed(rows: pl.DataFrame) -> Output:
    dead = pl.DataFrame(schema=DEAD)
    return Output(rows={VIEW.name: rows}, events={}, dead=dead, rows_in=0, duplicates=0)


def zipf_ids(rows: pl.DataFrame, entities: int, requests: int, *, seed: int) -> list[list[str]]:
    """The readers of each request."""
    rng = Random(seed)  # noqa: S311 - seeded on purpose
    user_ids = rows["user_id"].to_list()
    rng.shuffle(user_ids)
    weights = [*accumulate(1 / rank**EXPONENT for rank in range(1, len(user_ids) + 1))]

    def drawn() -> Iterator[str]:
        while True:
            yield from rng.choices(user_ids, cum_weights=weights, k=entities)

    return [_distinct(drawn(), min(entities, len(user_ids))) for _ in range(requests)]


def _distinct(ids: Iterator[str], count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[next(ids)] = None
    return list(found)


def bodies_for_us(requests: Sequence[Sequence[str]]) -> list[str]:
    """For `POST /v1/features`."""
    features = list(ASKED)
    return [
        json.dumps({"view": VIEW.name, "ids": list(ids), "features": features}) for ids in requests
    ]


def bodies_for_feast(requests: Sequence[Sequence[str]]) -> list[str]:
    """For `POST /get-online-features`, ours and Feast's own."""
    features = [f"{VIEW.name}:{feature}" for feature in ASKED]
    return [
        json.dumps({"features": features, "entities": {"user_id": list(ids)}}) for ids in requests
    ]
