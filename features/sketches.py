"""Bounded sets of values: of too many, those with the smallest hashes are kept.

A bot may touch a million products in an hour. Of the values of an aggregation of which the most
frequent is asked for at most `MOST_VALUES` an hour are kept, by their hashes, so any order and any
split of the events keeps the same ones, and what is kept is counted exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

__all__ = ["HASH", "MOST_VALUES", "capped", "full_groups", "with_hashes"]

MOST_VALUES = 3000
HASH = "hash of the value"
VALUES = "values"


def full_groups(values: pl.DataFrame, entity: Sequence[str], group: Sequence[str]) -> pl.DataFrame:
    """The groups (columns `entity` and `group`) with at least `MOST_VALUES` distinct values, and
    their number in `values`.
    """
    # Few have that many rows, and only their values have to be told apart.
    for by in (list(entity), [*entity, *group]):
        many = values.group_by(by).len().filter(pl.col("len") >= MOST_VALUES)
        if many.is_empty():
            return values.select(*entity, *group).clear().with_columns(pl.lit(0).alias(VALUES))
        values = values.join(many, on=by, how="semi")
    sizes = values.group_by(*entity, *group).agg(pl.col("value").n_unique().alias(VALUES))
    return sizes.filter(pl.col(VALUES) >= MOST_VALUES)


def capped(
    values: pl.DataFrame, entity: Sequence[str], group: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`values` (with `value`) without those that are too many of a group, and the groups that had
    too many.
    """
    full = full_groups(values, entity, group).filter(pl.col(VALUES) > MOST_VALUES)
    if full.is_empty():
        return values, full
    by = [*entity, *group]
    too_many = values.join(full, on=by, how="semi")
    distinct = with_hashes(too_many.select(*by, "value").unique())
    kept = distinct.filter(pl.col(HASH).rank("min").over(by) <= MOST_VALUES)
    left = too_many.join(kept, on=[*by, "value"], how="semi")
    return pl.concat([values.join(full, on=by, how="anti"), left]), full


def with_hashes(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with a hash of `value` in 0..1, the same in every process and version."""
    texts = rows["value"].unique()
    of = pl.DataFrame({"value": texts, HASH: (_hashes(texts) >> np.uint64(11)) / float(1 << 53)})
    return rows.join(of, on="value")


def _hashes(texts: pl.Series) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """FNV-1a over the bytes, one place of all texts after the other, mixed as SplitMix64 does."""
    array = texts.to_frame().to_arrow().column(0).combine_chunks().cast(pa.large_binary())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    letters = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    first, sizes = ends[:-1], np.diff(ends)
    hashes = np.full(len(array), 0xCBF29CE484222325, np.uint64)
    for place in range(int(sizes.max(initial=0))):
        longer = np.flatnonzero(sizes > place)
        mixed = hashes[longer] ^ letters[first[longer] + place]
        hashes[longer] = mixed * np.uint64(0x100000001B3)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes = (hashes ^ hashes >> np.uint64(shift)) * np.uint64(factor)
    return hashes ^ hashes >> np.uint64(31)
