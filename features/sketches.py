"""Bounded sets of values: of too many, those with the smallest hashes stand for all.

A bot may touch a million products in an hour. Of the values of an aggregation in a tile at most
`MOST_VALUES` are kept, by their hashes, so any order and any split of the events keeps the same
ones, and what is kept is counted exactly. The number of distinct values is exact below that; beyond
it is estimated from the hashes, which are as good as uniform in 0..1: with `theta` the largest hash
kept in a full tile, `(values below theta) / theta`, within about 1 / sqrt(MOST_VALUES), or 3 %
(bottom-k: Bar-Yossef et al., RANDOM 2002; unions by theta: Dasgupta et al., ICDT 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import polars as pl

__all__ = ["MOST_VALUES", "VALUES", "capped", "estimated", "full_groups"]

MOST_VALUES = 1000
HASH = "hash of the value"
THETA = "theta"
VALUES = "values"


def full_groups(values: pl.DataFrame, entity: Sequence[str], group: Sequence[str]) -> pl.DataFrame:
    """The groups (columns `entity` and `group`) with at least `MOST_VALUES` distinct values, and
    their number in `values`.
    """
    # Few entities have that many rows, and only their values have to be told apart.
    many = values.group_by(entity).len().filter(pl.col("len") >= MOST_VALUES)
    if many.is_empty():
        return values.select(*entity, *group).clear().with_columns(pl.lit(0).alias(VALUES))
    rows = values.join(many, on=entity, how="semi")
    sizes = rows.group_by(*entity, *group).agg(pl.col("value").n_unique().alias(VALUES))
    return sizes.filter(pl.col(VALUES) >= MOST_VALUES)


def capped(
    values: pl.DataFrame, entity: Sequence[str], group: Sequence[str]
) -> tuple[pl.DataFrame, int]:
    """`values` (with `value`) without those that are too many of a group, and how many groups had
    too many.
    """
    full = full_groups(values, entity, group).filter(pl.col(VALUES) > MOST_VALUES)
    if full.is_empty():
        return values, 0
    by = [*entity, *group]
    too_many = values.join(full, on=by, how="semi")
    distinct = _hashed(too_many.select(*by, "value").unique())
    kept = distinct.filter(pl.col(HASH).rank("min").over(by) <= MOST_VALUES)
    left = too_many.join(kept, on=[*by, "value"], how="semi")
    return pl.concat([values.join(full, on=by, how="anti"), left]), full.height


def estimated(values: pl.DataFrame, full: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """How many distinct values there were: `by` and `values`.

    `values`: those of some groups of each `by`; `full`: the groups of them that may be capped.
    Of a `by` without a full group nothing is said.
    """
    shared = [name for name in full.columns if name != VALUES]
    hashed = _hashed(values.join(full, on=by, how="semi"))
    largest = hashed.join(full, on=shared, how="semi").group_by(shared).agg(pl.col(HASH).max())
    theta = largest.group_by(by).agg(pl.col(HASH).min().alias(THETA))
    below = hashed.join(theta, on=by).filter(pl.col(HASH) <= pl.col(THETA))
    found = below.group_by(by).agg(pl.col("value").n_unique(), pl.col(THETA).first())
    number = (pl.col("value") / pl.col(THETA)).round().cast(pl.Int64)
    return found.select(*by, number.alias(VALUES))


def _hashed(rows: pl.DataFrame) -> pl.DataFrame:
    """Hashes in 0..1, the same in every process and version."""
    texts = rows["value"].unique().to_list()
    hashes = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) for text in texts]
    shares = [(one + 1) / 2**64 for one in hashes]
    of = pl.DataFrame({"value": texts, HASH: shares}, schema={"value": pl.String, HASH: pl.Float64})
    return rows.join(of, on="value")
