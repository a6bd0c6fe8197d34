"""The files of `userflow bench pit`: a log of a view and labels, made of a seed.

The log is that of `user_features` as a stream writes it and upkeep compacts it: ten seconds of
epochs, each with a row for some readers, fifty epochs in a file. Six features have values; the
other columns are null and nobody asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.columns import polars_schema
from features.views import VIEWS

__all__ = ["FEATURES", "VIEW", "Files", "write_files"]

VIEW = VIEWS["user_features"]
FEATURES = (
    "read_count_1h",
    "read_count_24h",
    "avg_completion_rate_24h",
    "exit_rate_24h",
    "avg_dwell_time_ms_24h",
    "top_genre_24h",
)
START_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
EVERY_US = 10_000_000
EPOCHS_IN_A_FILE = 50
EPOCHS = 2_000
GENRES = np.array(["action", "comedy", "drama", "romance", "thriller"])
UTC_US = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Files:
    """`bytes`: of the log's data files."""

    lake: Path
    labels: Path
    readers: int
    rows: int
    bytes: int


def write_files(folder: Path, *, labels: int, rows: int, rows_each: int, seed: int = 1) -> Files:
    """A lake with about so many rows of the log, and a Parquet file with the labels."""
    rng = np.random.default_rng(seed)
    readers = max(10, rows // rows_each)
    # Of each epoch there are at least two rows, and no more than readers.
    epochs = max(rows_each, min(EPOCHS, rows // 2))
    lake, path = folder / "lake", folder / "labels.parquet"
    log = lake / "features" / VIEW.name
    written = 0
    for part in _log(rng, readers, epochs, min(readers, rows // epochs)):
        part.write_delta(log, mode="append")
        written += part.height
    _labels(rng, readers, labels, epochs).write_parquet(path)
    size = sum(file.stat().st_size for file in log.glob("*.parquet"))
    return Files(lake, path, readers, written, size)


def _log(
    rng: np.random.Generator, readers: int, epochs: int, height: int
) -> Iterator[pl.DataFrame]:
    for first in range(0, epochs, EPOCHS_IN_A_FILE):
        numbers = np.arange(first, min(epochs, first + EPOCHS_IN_A_FILE))
        # An epoch has one row of a reader.
        who = [rng.choice(readers, height, replace=False, shuffle=False) for _ in numbers]
        yield _rows(rng, np.concatenate(who), numbers.repeat(height))


def _rows(rng: np.random.Generator, who: np.ndarray, epoch: np.ndarray) -> pl.DataFrame:
    count = who.size
    available_at = START_US + epoch * EVERY_US
    columns = {
        "user_id": _ids(who),
        "read_count_1h": rng.integers(0, 20, count),
        "read_count_24h": rng.integers(0, 200, count),
        "avg_completion_rate_24h": rng.random(count),
        "exit_rate_24h": rng.random(count),
        "avg_dwell_time_ms_24h": rng.random(count) * 1e5,
        "top_genre_24h": GENRES[rng.integers(0, GENRES.size, count)],
        "event_at": available_at - rng.integers(1, EVERY_US, count),
        "available_at": available_at,
        "batch_id": epoch,
    }
    same = {"feature_version": VIEW.version, "is_deleted": False, "generation": 1}
    rows = pl.DataFrame(columns).with_columns(pl.lit(value).alias(n) for n, value in same.items())
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None).alias(name)).cast(dtype)
        for name, dtype in polars_schema(VIEW.log_columns).items()
    )


def _labels(rng: np.random.Generator, readers: int, count: int, epochs: int) -> pl.DataFrame:
    """In no order, of the time that the log covers; `label_id` tells them apart."""
    return pl.DataFrame(
        {
            "label_id": np.arange(count),
            "user_id": _ids(rng.integers(0, readers, count)),
            "event_timestamp": START_US + rng.integers(0, epochs * EVERY_US, count),
            "is_read": rng.integers(0, 2, count),
        }
    ).with_columns(pl.col("event_timestamp").cast(UTC_US))


def _ids(who: np.ndarray) -> pl.Series:
    return "r" + pl.Series(who).cast(pl.String).str.pad_start(9, "0")
