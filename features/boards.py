"""Boards: what a row shows that depends on all rows of its view.

A rank, a place among the episodes of a genre, a test against another group: none of them belongs to
one entity. A board sees the newest row of every entity and adds its columns to each. It is looked
at again from time to time, so a rank is at most a minute old.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from features.columns import Column, ColumnType
from features.dimensions import Dimensions
from features.windows import HOUR_DAY_WEEK

__all__ = ["EPISODE_BOARD", "Board", "tests_of_exits", "tests_of_sales"]

SHRINKAGE = 20
BOOST_FROM, EXCLUDE_TO = 60.0, 40.0
MUCH = 0.25
WINDOWS = tuple(window.name for window in HOUR_DAY_WEEK)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Board:
    """`show` adds `columns` to the newest rows of all entities of a view."""

    columns: tuple[Column, ...]
    show: Callable[[pl.DataFrame, Dimensions], pl.DataFrame]


def of_episodes(rows: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """What is known of an episode, its rank, and its quality.

    Quality is 50 for what is usual in its genre. An advantage is -1..1: completion and exit rate
    against the genre's median in quarters, dwell time in doublings; medians and rates are those of
    7 d. `50 + 50 w (0.5 completion + 0.3 exit + 0.2 dwell)`, with `w = n / (n + 20)` for `n` reads:
    of few reads little is concluded.
    """
    known = rows.join(dimensions.episodes, on="episode_id", how="left")
    is_read = pl.col("read_count_7d") > 0

    def median(name: str) -> pl.Expr:
        return pl.col(name).filter(is_read).median().over(pl.col("genre").fill_null(""))

    completion = pl.col("avg_completion_rate_7d") - median("avg_completion_rate_7d")
    exits = median("exit_rate_7d") - pl.col("exit_rate_7d")
    dwell = (pl.col("avg_dwell_time_ms_7d") / median("avg_dwell_time_ms_7d")).log(2)
    advantage = (
        0.5 * _clipped(completion / MUCH) + 0.3 * _clipped(exits / MUCH) + 0.2 * _clipped(dwell)
    )
    weight = pl.col("read_count_7d") / (pl.col("read_count_7d") + SHRINKAGE)
    score = pl.col("content_quality_score")
    ranked = known.sort("read_count_24h", "episode_id", descending=[True, False])
    return (
        ranked.with_row_index("current_popularity_rank", offset=1)
        .with_columns(content_quality_score=50 + 50 * weight * advantage)
        .with_columns(
            pl.col("current_popularity_rank").cast(pl.Int64),
            quality_label=pl.when(score >= BOOST_FROM)
            .then(pl.lit("boost"))
            .when(score <= EXCLUDE_TO)
            .then(pl.lit("exclude"))
            .otherwise(pl.lit("neutral")),
        )
    )


EPISODE_BOARD = Board(
    columns=(
        Column("genre", ColumnType.STRING, "Genre of the episode; null when unknown."),
        Column("tags", ColumnType.STRING_LIST, "Tags of the episode."),
        Column("avg_rating", ColumnType.DOUBLE, "Mean rating of the episode, from its metadata."),
        Column(
            "current_popularity_rank",
            ColumnType.LONG,
            "Place by read_count_24h, ties by episode_id; the most read one is 1.",
        ),
        Column(
            "content_quality_score",
            ColumnType.DOUBLE,
            "0..100, 50 is usual: 50 + 50 n / (n + 20) (0.5 completion + 0.3 exit + 0.2 dwell), "
            "n reads in 7d, each an advantage of -1..1 over the genre's median.",
        ),
        Column(
            "quality_label",
            ColumnType.STRING,
            f"`boost` from {BOOST_FROM:g} on, `exclude` up to {EXCLUDE_TO:g}, else `neutral`.",
        ),
    ),
    show=of_episodes,
)


def tests_of_exits() -> Board:
    """Exit rates against those of group A with the same user interface."""
    return _tested("exit_rate", "read_count", ("ui_version",))


def tests_of_sales() -> Board:
    """Conversion rates against that of group A."""
    return _tested("conversion_rate", "session_count", ())


def _tested(rate: str, count: str, beside: tuple[str, ...]) -> Board:
    def show(rows: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
        del dimensions
        names = [f"{name}_{window}" for name in (rate, count) for window in WINDOWS]
        of_a = rows.filter(pl.col("experiment_group") == "A").select(
            *beside, *(pl.col(name).alias(f"{name} of A") for name in names)
        )
        paired = rows.join(of_a, on=beside, how="left") if beside else rows.join(of_a, how="cross")
        if paired.height < rows.height:  # nobody is in group A
            paired = rows.with_columns(pl.lit(None, pl.Float64).alias(f"{n} of A") for n in names)
        return _with_tests(paired, rate, count).select(*rows.columns, *(c.name for c in columns))

    columns = tuple(_columns(rate))
    return Board(columns=columns, show=show)


def _columns(rate: str) -> Iterable[Column]:
    for window in WINDOWS:
        doc = f"Two-proportion z-test of {rate}_{window} against group A: "
        yield Column(f"z_{window}", ColumnType.DOUBLE, f"{doc}z.")
        yield Column(f"p_value_{window}", ColumnType.DOUBLE, f"{doc}two-sided p.")


def _with_tests(rows: pl.DataFrame, rate: str, count: str) -> pl.DataFrame:
    """The pooled two-proportion z-test; null for group A and where nothing can be said."""
    for window in WINDOWS:
        mine, theirs = pl.col(f"{rate}_{window}"), pl.col(f"{rate}_{window} of A")
        n, m = pl.col(f"{count}_{window}"), pl.col(f"{count}_{window} of A")
        pooled = (mine * n + theirs * m) / (n + m)
        error = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
        z = pl.when((pl.col("experiment_group") != "A") & (error > 0)).then((mine - theirs) / error)
        rows = rows.with_columns(z.alias(f"z_{window}"))
        found = rows[f"z_{window}"].to_list()
        p = [None if one is None else math.erfc(abs(one) / math.sqrt(2)) for one in found]
        rows = rows.with_columns(pl.Series(f"p_value_{window}", p, dtype=pl.Float64))
    return rows


def _clipped(advantage: pl.Expr) -> pl.Expr:
    """Nothing to compare with, or a ratio with zero, is no advantage."""
    is_known = advantage.is_not_null() & ~advantage.is_nan()
    return pl.when(is_known).then(advantage.clip(-1, 1)).otherwise(0.0)
