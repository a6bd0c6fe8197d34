"""What the stores and the output topics hold of one job, read as a stranger would read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg
from deltalake import DeltaTable
from redis import Redis

from benchmarks.chaos.expected import Known, NotKept
from benchmarks.chaos.kafka_log import NOWHERE, Record, read
from features.columns import polars_schema
from features.topics import DEAD_LETTERS
from features.views import VIEWS, FeatureView
from infra.database import pipeline_conninfo
from infra.demo.stores import postgres_rows, redis_rows
from infra.endpoints import Endpoints
from infra.streams import load_dimensions
from streaming.jobs import Job

__all__ = ["OUTPUTS", "Found", "known_of", "look"]

# The demo's readers ask for the rows whose key holds a name: this one is in all.
ALL = ""
UTC = pl.Datetime("us", "UTC")
OUTPUTS = (DEAD_LETTERS, "alerts", "retargeting", "session-metrics", "product-popularity")
Place = tuple[str, int, int]

COMMITS = "SELECT epoch, committed_at FROM ops.stream_epochs WHERE job = %s"
DEAD = """
SELECT topic, partition, "offset", reason_code, payload
FROM ops.dead_letters WHERE topic = ANY(%s)"""
ALERTS = "SELECT event_id, alert_type FROM ops.alerts"
WATERMARK = """
SELECT watermark FROM ops.stream_epochs WHERE job = %s ORDER BY epoch DESC LIMIT 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """By view: `rows` of PostgreSQL, `served` by Redis, `lists` of Redis by feature and key, `logs`
    of Delta with the online tables' names. `archive`: Delta's events; `commits`: when epochs were
    committed; `dead`: reason and bytes by place; `topics`: their messages.
    """

    rows: Mapping[str, pl.DataFrame]
    served: Mapping[str, pl.DataFrame]
    lists: Mapping[str, Mapping[str, Mapping[tuple[Any, ...], list[str]]]]
    logs: Mapping[str, pl.DataFrame]
    archive: pl.DataFrame
    commits: pl.DataFrame
    dead: Mapping[Place, list[tuple[str, bytes]]]
    alerts: list[tuple[str, str]]
    topics: Mapping[str, list[Record]]


def look(job: Job, endpoints: Endpoints, begins: Mapping[str, int] = NOWHERE) -> Found:
    """Read everything; `begins`: from where on the output topics belong to this run."""
    views = [VIEWS[name] for name in job.views]
    rows = {view.name: postgres_rows(view, endpoints.postgres, ALL) for view in views}
    of_redis = [view for view in views if view.redis_key]
    (topic,) = job.topics
    with psycopg.connect(pipeline_conninfo(endpoints.postgres)) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        commits = connection.execute(COMMITS, [job.name]).fetchall()
        dead = connection.execute(DEAD, [list(job.topics)]).fetchall()
        alerts = connection.execute(ALERTS).fetchall()
    return Found(
        rows=rows,
        served={view.name: redis_rows(view, endpoints.redis, ALL) for view in of_redis},
        lists={view.name: _lists(view, rows[view.name], endpoints.redis) for view in of_redis},
        logs={view.name: _log(view, endpoints.lake) for view in views},
        archive=_archive(endpoints.lake, topic),
        commits=pl.DataFrame(commits, {"epoch": pl.Int64, "committed_at": UTC}, orient="row"),
        dead={(name, part, at): [(code, value)] for name, part, at, code, value in dead},
        alerts=alerts,
        topics={name: read(endpoints.kafka, name, begins) for name in OUTPUTS},
    )


def known_of(job: Job, postgres: str) -> Known:
    """What the oracle has to be told: where the job's watermark stands, and the dimensions."""
    with psycopg.connect(pipeline_conninfo(postgres)) as connection:
        found = connection.execute(WATERMARK, [job.name]).fetchone()
    if found is None or found[0] is None:
        raise NotKept(f"Job {job.name} has committed no epoch with a watermark.")
    dimensions = load_dimensions(postgres)
    return Known(
        watermark_us=round(found[0].timestamp() * 1_000_000),
        genres=dict(dimensions.episodes.select("episode_id", "genre").rows()),
        categories=dict(dimensions.products.select("product_id", "category").rows()),
    )


def _lists(
    view: FeatureView, rows: pl.DataFrame, url: str
) -> dict[str, dict[tuple[Any, ...], list[str]]]:
    """The lists of the rows' entities that are there."""
    keys = rows.select(view.key).rows()
    found: dict[str, dict[tuple[Any, ...], list[str]]] = {}
    with Redis.from_url(url, decode_responses=True) as client:
        for feature, template in view.redis_lists.items():
            names = [template.format(**dict(zip(view.key, key, strict=True))) for key in keys]
            with client.pipeline(transaction=False) as trip:
                for name in names:
                    trip.lrange(name, 0, -1)
                lists = trip.execute()
            found[feature] = {key: one for key, one in zip(keys, lists, strict=True) if one}
    return found


def _log(view: FeatureView, lake: str) -> pl.DataFrame:
    schema = {**polars_schema(view.online_columns), "is_deleted": pl.Boolean()}
    path = f"{lake}/features/{view.name}"
    if not DeltaTable.is_deltatable(path):
        return pl.DataFrame(schema=schema)
    named = pl.read_delta(path).rename({"available_at": "updated_at", "batch_id": "epoch"})
    return named.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _archive(lake: str, topic: str) -> pl.DataFrame:
    path = f"{lake}/events/{topic.replace('-', '_')}"
    return pl.read_delta(path, columns=["event_id", "epoch", "ingested_at"])
