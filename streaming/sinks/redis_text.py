"""Values as the serving copy spells them, a column at a time.

Numbers are plain decimal text with the fewest digits that read back to the same value, booleans
`true` and `false`, times ISO-8601 UTC with microseconds, lists JSON. A null stays null.
"""

from __future__ import annotations

from string import Formatter

import polars as pl

from features.columns import Column, ColumnType, polars_type

__all__ = ["from_text", "key_of", "text_of"]

EPOCH_MS = "_epoch_ms"
TIME = "%Y-%m-%dT%H:%M:%S%.6fZ"
NESTED = (ColumnType.STRING_LIST, ColumnType.STRING_MAP, ColumnType.RECORDS)


def text_of(column: Column) -> pl.Expr:
    """The column as text, under its own name."""
    return _text(column).alias(column.name)


def from_text(column: Column) -> pl.Expr:
    """The column of an entity, read from its text."""
    text = pl.col(column.name)
    if column.type is ColumnType.TIMESTAMP:
        return text.str.to_datetime(TIME, time_unit="us", time_zone="UTC")
    return text.cast(polars_type(column))


def key_of(template: str) -> pl.Expr:
    """The Redis key of each row, of a template over its columns; ids stand in it as they are.

    A time is spelled by a name with `_epoch_ms` behind it.
    """
    parts = []
    for literal, name, _, _ in Formatter().parse(template):
        parts.append(pl.lit(literal))
        if name is not None:
            parts.append(_key_part(name))
    return pl.concat_str(parts)


def _key_part(name: str) -> pl.Expr:
    if name.endswith(EPOCH_MS):
        return pl.col(name.removesuffix(EPOCH_MS)).dt.timestamp("ms").cast(pl.String)
    return pl.col(name).cast(pl.String)


def _text(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    if column.type is ColumnType.TIMESTAMP:
        return value.dt.strftime(TIME)
    if column.type is ColumnType.DOUBLE:
        return _decimal(value.cast(pl.Float64).cast(pl.String))
    if column.type in NESTED:
        return _json(column.name)
    return value.cast(pl.String)


def _decimal(text: pl.Expr) -> pl.Expr:
    # Exponents are rare and spelling them out is slow, so only their rows are touched.
    return text.map_batches(_without_exponents, return_dtype=pl.String, is_elementwise=True)


def _without_exponents(texts: pl.Series) -> pl.Series:
    has_exponent = texts.str.contains("e", literal=True).fill_null(value=False)
    if not has_exponent.any():
        return texts
    rows = has_exponent.arg_true()
    spelled = texts.gather(rows).to_frame("text").select(_spelled(pl.col("text"))).to_series()
    return texts.scatter(rows, spelled)


def _spelled(text: pl.Expr) -> pl.Expr:
    """Spell out exponents: `1.5e-7` is `0.00000015`, `1e+16` is `10000000000000000.0`."""
    parts = text.str.extract_groups(r"^(-?)(\d)(?:\.(\d+))?e([+-]?\d+)$").struct
    sign, digits = parts[0], parts[1] + parts[2].fill_null("")
    power = parts[3].str.strip_prefix("+").cast(pl.Int64)
    small = pl.lit("0.") + digits.str.pad_start(digits.str.len_bytes() + (-power - 1).clip(0), "0")
    # An exponent is written from 1e16 on, and there are 17 digits at most: none is left behind the
    # point.
    large = digits.str.pad_end((power + 1).clip(0), "0") + ".0"
    return sign + pl.when(power < 0).then(small).otherwise(large)


def _json(name: str) -> pl.Expr:
    document = pl.struct(name).struct.json_encode()
    prefix = len(f'{{"{name}":')
    value = document.str.slice(prefix).str.head(-1)
    return pl.when(pl.col(name).is_not_null()).then(value)
