"""The two answers to "which row of the log belongs to a moment", each as one line of time.

A timeline has, for each row of the log that may be shown, from when on it is: the row for a moment
is the last one of its entity that begins at it or before. What is the same moment stands in order,
so the last of them counts.

`as-served`: what a reader of the online store got. A row begins when it became readable, and the
order of rows is that of their (generation, epoch), as in the stores. What a backfill computed
(generation 0) was never served.

`event-time`: what was known of the events up to the moment, whenever they came. The row with the
newest event counts. There may be several with it, since values decay, visits close and late events
correct: of these the one that was newest at the moment, and where none was yet, the first. Without
that a label would see what only time has done to a row after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import polars as pl

__all__ = ["MODES", "Mode", "ModeName"]

# With more of them sorting is as cheap.
MOST_RUNS = 10_000
ModeName = Literal["as-served", "event-time"]
# Of rows of one epoch a mark of deletion stands first: another visit may have taken its place.
WITHIN = (
    pl.col("generation"),
    pl.col("batch_id"),
    pl.col("is_deleted").fill_null(value=False).not_(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """`time`: the column of the log that a moment is compared with, and that ages count from.

    `is_shown`: which rows count. `timeline`: rows with `entity` and the columns of the log, to rows
    with `entity`, `row` and `at`, ordered by `at`.
    """

    name: ModeName
    time: str
    columns: tuple[str, ...]
    is_shown: pl.Expr
    timeline: Callable[[pl.DataFrame], pl.DataFrame]


def _as_served(rows: pl.DataFrame) -> pl.DataFrame:
    rows = _by_time(rows, "available_at")
    if not _is_plain(rows) and rows.select(_are_disordered("available_at")).item():
        rows = rows.sort("available_at", *WITHIN)
    return rows.select("entity", "row", at="available_at")


def _by_time(rows: pl.DataFrame, time: str) -> pl.DataFrame:
    """The rows in the order of time, those of the same time as they come.

    A log is made of files, each of which is in order as a rule: moving these is much cheaper.
    """
    begins = rows.select((pl.col(time).diff() < pl.duration()).arg_true()).to_series()
    if begins.len() < MOST_RUNS:
        rows = _runs_by_time(rows, time, [0, *begins])
    return rows if rows[time].is_sorted() else rows.sort(time, maintain_order=True)


def _runs_by_time(rows: pl.DataFrame, time: str, begins: list[int]) -> pl.DataFrame:
    """The runs of rows that begin there, by the time of their first."""
    if rows.is_empty():
        return rows
    ends = [*begins[1:], rows.height]
    order = rows[time].gather(begins).arg_sort()
    return pl.concat([rows[begins[place] : ends[place]] for place in order], rechunk=True)


def _is_plain(rows: pl.DataFrame) -> bool:
    """Whether a glance shows that rows of the same time are in order, as they mostly are."""
    is_deleted = rows["is_deleted"].any()
    return rows["generation"].is_sorted() and rows["batch_id"].is_sorted() and not is_deleted


def _are_disordered(time: str) -> pl.Expr:
    """Whether neighbours of the same time are not in the order of what wrote them."""
    generation, epoch, is_row = (part.cast(pl.Int64).diff() for part in WITHIN)
    is_later = (epoch < 0) | ((epoch == 0) & (is_row < 0))
    is_disordered = (generation < 0) | ((generation == 0) & is_later)
    return ((pl.col(time).diff() == pl.duration()) & is_disordered).any()


def _event_time(rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.sort("entity", "event_at", "available_at", *WITHIN)
    entity, event_at = pl.col("entity"), pl.col("event_at")
    is_first = (entity != entity.shift()).fill_null(value=True) | (event_at != event_at.shift())
    rows = rows.with_columns(
        is_first=is_first, until=_next_event(rows.select(is_first).to_series(), rows)
    )
    at = pl.when("is_first").then(event_at).otherwise(pl.max_horizontal("event_at", "available_at"))
    is_shown = pl.col("until").is_null() | (pl.col("at") < pl.col("until"))
    shown = rows.lazy().with_columns(at=at).filter(is_shown).select("entity", "row", "at").collect()
    return shown.sort("at", maintain_order=True)


def _next_event(is_first: pl.Series, rows: pl.DataFrame) -> pl.Series:
    """For every row, when the entity's next newer event was."""
    entity, event_at = pl.col("entity"), pl.col("event_at")
    firsts = rows.filter(is_first).select(
        pl.when(entity == entity.shift(-1)).then(event_at.shift(-1)).alias("until")
    )
    return firsts["until"].gather(is_first.cum_sum() - 1)


ORDERED = ("available_at", "generation", "batch_id", "is_deleted")
MODES: Mapping[str, Mode] = MappingProxyType(
    {
        mode.name: mode
        for mode in (
            Mode(
                name="as-served",
                time="available_at",
                columns=ORDERED,
                is_shown=pl.col("generation") >= 1,
                timeline=_as_served,
            ),
            Mode(
                name="event-time",
                time="event_at",
                columns=("event_at", *ORDERED),
                is_shown=pl.lit(value=True),
                timeline=_event_time,
            ),
        )
    }
)
