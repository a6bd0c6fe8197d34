"""The join: for each label the number of the row of the log that belongs to its moment.

1. Who an entity is becomes one number, a hash of its columns. Labels say whom it is worth to look
   at.
2. The rows of the log become a line of time (`serving.training.modes`), and each has a place in it.
3. A row's key is the beginning of its entity's number and, in the bits that are left, its place. So
   in one sorted column of keys the rows of an entity lie side by side, in the order of time.
4. A label's key has the place behind the last row up to its moment. The key before it is that of
   its row, if it begins with the same bits; else there is none.
5. Two entities may begin with the same bits. A label that got a row of somebody else shows it when
   the row is read, and is asked again with another hash (`serving.training.sets`).

Polars' as-of join, which keeps a list of rows for each entity, takes two thirds more CPU for the
same. Entities are cut into parts by the same number, one part in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from serving.training.log import FeatureLog
from serving.training.modes import Mode

__all__ = ["Asked", "Say", "entity_number", "matches"]

Say = Callable[[str], object]
SAMPLE = 100_000
# A filter costs as much as it saves where it leaves more than this of the rows.
WORTH = 0.5
MATCH = {"label": pl.UInt32, "row": pl.UInt32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`labels`: `label`, its place; `entity`, its number; `at`. `number`: the same of the log.
    `ttl_us`: rows that are older than that for every label need not be read.
    """

    labels: pl.DataFrame
    number: pl.Expr
    mode: Mode
    ttl_us: int | None


def entity_number(key: tuple[str, ...], seed: int) -> pl.Expr:
    """One number for the columns of an entity."""
    of = pl.col(key[0]) if len(key) == 1 else pl.struct(key)
    return of.hash(seed)


def matches(log: FeatureLog, asked: Asked, parts: int, say: Say) -> pl.DataFrame:
    """`label` and `row` of the labels that have one, by row. `parts`: how many times the log is
    read, and into how many parts what is held of it is cut.
    """
    found = [pl.DataFrame(schema=MATCH)]
    for part in range(parts):
        is_mine = (pl.col("entity") % parts == part) if parts > 1 else pl.lit(value=True)
        labels = asked.labels.filter(is_mine)
        if parts > 1:
            say(f"{log.view.name}: part {part + 1} of {parts}")
        if labels.height:
            rows = _rows(log, asked, labels, is_mine)
            found.append(_joined(labels, asked.mode.timeline(rows)))
    return pl.concat(found).sort("row")


def _joined(labels: pl.DataFrame, timeline: pl.DataFrame) -> pl.DataFrame:
    bits = timeline.height.bit_length()
    begin, place = (pl.lit(mask, pl.UInt64) for mask in ((1 << 64) - (1 << bits), (1 << bits) - 1))
    place_of_row = pl.int_range(pl.len(), dtype=pl.UInt64)
    keys = timeline.select((pl.col("entity") & begin) | place_of_row).to_series().sort()
    behind = timeline["at"].search_sorted(labels["at"], side="right").cast(pl.UInt64)
    asked = labels.select("label", key=(pl.col("entity") & begin) | behind).sort("key")
    before = keys.search_sorted(asked["key"], side="left").cast(pl.Int64) - 1
    found = asked.with_columns(found=keys.gather(before.set(before < 0, None)))
    own = found.filter((pl.col("found") & begin) == (pl.col("key") & begin))
    places = own.select(pl.col("found") & place).to_series()
    return own.select("label", row=timeline["row"].gather(places))


def _rows(log: FeatureLog, asked: Asked, labels: pl.DataFrame, is_mine: pl.Expr) -> pl.DataFrame:
    """What may be shown to one of the labels."""
    key, mode = log.view.key, asked.mode
    rows = (
        log.scan([*key, *mode.columns])
        .filter(mode.is_shown, _in_time(asked, labels))
        .select("row", asked.number.alias("entity"), *mode.columns)
        .filter(is_mine)
    )
    entities = labels.lazy().select(pl.col("entity").unique())
    if _leaves(rows, entities) < WORTH:
        rows = rows.join(entities, on="entity", how="semi", maintain_order="left")
    return rows.collect(engine="streaming")


def _in_time(asked: Asked, labels: pl.DataFrame) -> pl.Expr:
    at = pl.col(asked.mode.time)
    is_before = at <= labels["at"].max()
    if asked.ttl_us is None:
        return is_before
    return is_before & (at >= labels["at"].min() - pl.duration(microseconds=asked.ttl_us))


def _leaves(rows: pl.LazyFrame, entities: pl.LazyFrame) -> float:
    """Which share of the rows is of these entities: of a sample."""
    sample = rows.select("entity").head(SAMPLE).collect()
    if sample.is_empty():
        return 0.0
    return sample.lazy().join(entities, on="entity", how="semi").collect().height / sample.height
