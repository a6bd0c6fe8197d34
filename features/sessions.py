"""Reading sessions: from a set of events to the latest visit of every (session, episode).

The state of a session is a set of disjoint visits: intervals of event time with the partial
aggregates of their events. A step
1. turns each new event into a visit of length zero,
2. merges them with the visits of the same (session, episode) that are still alive,
3. cuts a run of them wherever more than `GAP` lies between one visit's end and the next's start.
Each part is commutative and associative, so any order and any split of the same events gives the
same visits. A visit lives until the watermark passes its end by `GAP`: until then an event that is
within the allowed disorder can still extend it or bridge it with another.

Times are microseconds UTC. Frames hold many sessions: nothing here loops over events or keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

__all__ = ["GAP_US", "ROW", "VISIT", "Step", "advance", "step"]

GAP_US = 30 * 60 * 1_000_000
KEY = ("session_id", "episode_id")
OF_FIRST_EVENT = ("user_id", "country", "device", "platform", "experiment_group", "ui_version")
VISIT: dict[str, type[pl.DataType]] = {
    "session_id": pl.String,
    "episode_id": pl.String,
    "started_at": pl.Int64,
    "ended_at": pl.Int64,
    "first_event_id": pl.String,
    **dict.fromkeys(OF_FIRST_EVENT, pl.String),
    "completed_at": pl.Int64,  # the earliest `complete`
    "exited_at": pl.Int64,  # the earliest `exit`
    "max_scroll": pl.Float64,
    "scroll_sum": pl.Float64,
    "scroll_event_count": pl.Int64,
    "event_count": pl.Int64,
    "is_closed": pl.Boolean,  # as last emitted
}
ROW = (
    *KEY,
    *OF_FIRST_EVENT,
    "is_completed",
    "is_exit_tag",
    "completion_rate",
    "avg_scroll_ratio",
    "dwell_time_ms",
    "scroll_event_count",
    "event_count",
    "started_at",
    "ended_at",
    "is_closed",
)


@dataclass(frozen=True, slots=True)
class Step:
    """`visits` is the new state, `rows` the changed `session_features` (columns `ROW`), `late` the
    events whose visit is no longer alive.
    """

    visits: pl.DataFrame
    rows: pl.DataFrame
    late: pl.DataFrame


def step(visits: pl.DataFrame, events: pl.DataFrame, watermark_us: int) -> Step:
    """Merge new, de-duplicated `events` into `visits`."""
    if events.is_empty():
        return Step(visits, _rows(visits.clear()), events)
    keys = events.select(KEY).unique()
    touched = visits.join(keys, on=KEY, how="semi")
    merged = _merge(pl.concat([touched, _as_visits(events)]))
    dead = merged.filter(_is_over(watermark_us))
    late = events.clear()
    if dead.height:
        late = _events_of(dead, events)
        merged = merged.filter(~_is_over(watermark_us))
    merged = merged.with_columns(is_closed=_is_closed(watermark_us))
    latest = merged.sort("started_at").unique(KEY, keep="last")
    untouched = visits.join(keys, on=KEY, how="anti") if touched.height else visits
    return Step(pl.concat([untouched, merged]), _rows(latest), late)


def advance(visits: pl.DataFrame, watermark_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Let the watermark pass: returns the visits still alive and the rows that closed."""
    due = visits.filter(~pl.col("is_closed") & _is_closed(watermark_us))
    if due.height:
        visits = visits.with_columns(is_closed=_is_closed(watermark_us))
    # A visit that is not the latest of its key has no row.
    latest = visits.group_by(KEY).agg(pl.col("started_at").max()) if due.height else due
    closed = due.join(latest, on=[*KEY, "started_at"], how="semi").with_columns(is_closed=True)
    return visits.filter(~_is_over(watermark_us)), _rows(closed)


def next_due(visits: pl.DataFrame) -> int | None:
    """The smallest watermark beyond which something closes or dies; None without visits."""
    terminal = pl.min_horizontal("completed_at", "exited_at")
    due = pl.when(pl.col("is_closed")).then(None).otherwise(terminal)
    first = pl.min_horizontal(due, pl.col("ended_at") + GAP_US).min()
    smallest: int | None = visits.select(first).item()
    return smallest


def _as_visits(events: pl.DataFrame) -> pl.DataFrame:
    at, kind, ratio = pl.col("event_at"), pl.col("event_type"), pl.col("scroll_ratio")
    is_scroll = kind == "scroll"
    return events.select(
        *KEY,
        at.alias("started_at"),
        at.alias("ended_at"),
        pl.col("event_id").alias("first_event_id"),
        *OF_FIRST_EVENT,
        completed_at=pl.when(kind == "complete").then(at),
        exited_at=pl.when(kind == "exit").then(at),
        max_scroll=ratio,
        scroll_sum=pl.when(is_scroll).then(ratio).otherwise(0.0),
        scroll_event_count=is_scroll.cast(pl.Int64),
        event_count=pl.lit(1, pl.Int64),
        is_closed=pl.lit(False),
    )


def _merge(visits: pl.DataFrame) -> pl.DataFrame:
    # In order of the first event, ties by its id: `first()` below is then the first event's.
    visits = visits.sort("started_at", "first_event_id")
    span = pl.col("ended_at").max() - pl.col("started_at").min()
    # What spans at most the gap cannot hold a gap, so only the others need their runs found.
    long = visits.group_by(KEY).agg(span=span).filter(pl.col("span") > GAP_US)
    if long.is_empty():
        return _aggregate(visits, KEY)
    short = _aggregate(visits.join(long, on=KEY, how="anti", maintain_order="left"), KEY)
    cut = visits.join(long, on=KEY, how="semi", maintain_order="left").with_columns(run=_run())
    return pl.concat([short, _aggregate(cut, (*KEY, "run")).drop("run")])


def _run() -> pl.Expr:
    """The number of the visit within its key: a new one begins after more than the gap."""
    reached = pl.col("ended_at").cum_max().shift(1)
    return (pl.col("started_at") - reached > GAP_US).fill_null(False).cum_sum().over(KEY)


def _aggregate(visits: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    first = ("first_event_id", *OF_FIRST_EVENT)
    merged = visits.group_by(by).agg(
        pl.col("started_at").min(),
        pl.col("ended_at").max(),
        pl.col(first).first(),
        pl.col("completed_at", "exited_at").min(),
        pl.col("max_scroll").max(),
        pl.col("scroll_sum", "scroll_event_count", "event_count").sum(),
        pl.col("is_closed").any(),
    )
    return merged.select(*by[len(KEY) :], *VISIT)


def _events_of(dead: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    spans = dead.select(*KEY, "started_at", "ended_at")
    at = pl.col("event_at")
    ids = (
        events.select("event_id", "event_at", *KEY)
        .join(spans, on=KEY)
        .filter(at.is_between(pl.col("started_at"), pl.col("ended_at")))
    )
    return events.join(ids, on="event_id", how="semi")


def _is_over(watermark_us: int) -> pl.Expr:
    return pl.col("ended_at") + GAP_US < watermark_us


def _is_closed(watermark_us: int) -> pl.Expr:
    terminal = pl.min_horizontal("completed_at", "exited_at")
    return (terminal < watermark_us).fill_null(False) | _is_over(watermark_us)


def _rows(visits: pl.DataFrame) -> pl.DataFrame:
    completed = pl.col("completed_at").is_not_null()
    scrolls = pl.col("scroll_event_count")
    return visits.with_columns(
        is_completed=completed,
        is_exit_tag=pl.col("exited_at").is_not_null() & ~completed,
        completion_rate=pl.when(completed).then(1.0).otherwise(pl.col("max_scroll").fill_null(0.0)),
        avg_scroll_ratio=pl.when(scrolls > 0).then(pl.col("scroll_sum") / scrolls),
        dwell_time_ms=(pl.col("ended_at") - pl.col("started_at")) // 1000,
    ).select(ROW)
