"""How long it took until an event could be read, store by store.

From the moment the broker appended the event to the moment the store had answered the write of the
epoch that holds it: the epoch's own time, plus the seconds its log line gives for each store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from streaming.jobs import JOBS

__all__ = ["QUANTILES", "STORES", "latencies"]

# In the order in which an epoch writes them: each waits for those before it.
STORES = {"PostgreSQL": "postgres", "Redis": "redis", "Delta": "delta"}
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
MS = 1000.0


def latencies(
    archive: pl.DataFrame, lines: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Store -> quantile -> milliseconds, for the archived events of topics that have a view."""
    timed = _with_job(archive).join(_epochs(lines), on=["job", "epoch"])
    if timed.is_empty():
        return {}
    waited = (pl.col("ingested_at") - pl.col("received_at")).dt.total_microseconds() / MS
    found = {}
    for store, stage in STORES.items():
        waited = waited + pl.col(stage) * MS
        values = timed.select(
            waited.quantile(share).round(1).alias(name) for name, share in QUANTILES.items()
        )
        found[store] = values.row(0, named=True)
    return found


def _with_job(archive: pl.DataFrame) -> pl.DataFrame:
    jobs = {topic: job.name for job in JOBS.values() if job.views for topic in job.topics}
    named = archive.filter(pl.col("topic").is_in(list(jobs)))
    return named.with_columns(job=pl.col("topic").replace_strict(jobs, return_dtype=pl.String))


def _epochs(lines: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    stages = list(STORES.values())
    rows = [
        (line["job"], line["epoch"], *(line["stages"][stage] for stage in stages))
        for line in lines
        if line.get("event") == "epoch"
    ]
    schema = {"job": pl.String, "epoch": pl.Int64, **dict.fromkeys(stages, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")
