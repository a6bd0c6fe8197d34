"""Moments and ages as people write them, as microseconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from features.timestamps import BadTimestamp, parse_timestamp
from features.views import view_named
from serving.training.errors import BadLabels, TrainingSetError

__all__ = ["TTL", "Age", "age_us", "moments", "ttl_us"]

UTC = pl.Datetime("us", "UTC")
Age = str | timedelta
TTL = Age | Mapping[str, Age] | None
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGE = re.compile(r"(\d+)([smhdw])")
HAS_OFFSET = r"(Z|[+-]\d\d:?\d\d)$"


def age_us(age: Age) -> int:
    """`90s`, `30m`, `12h`, `7d`, `2w`, or a timedelta."""
    if isinstance(age, str):
        found = AGE.fullmatch(age.strip())
        if found is None:
            raise TrainingSetError(
                f"{age!r} is no age: expected a number and one of {', '.join(UNITS)}, as in 7d."
            )
        age = timedelta(**{UNITS[found[2]]: int(found[1])})
    if age < timedelta():
        raise TrainingSetError(f"An age is not negative; found {age}.")
    return age // timedelta(microseconds=1)


def ttl_us(ttl: TTL, view: str) -> int | None:
    """How old a row of the view may be; None: any age. Raises `UnknownName` for a view's name."""
    if isinstance(ttl, Mapping):
        for name in ttl:
            view_named(name)
    age = ttl.get(view) if isinstance(ttl, Mapping) else ttl
    return None if age is None else age_us(age)


def moments(values: pl.Series) -> pl.Series:
    """The column as times in UTC; without a zone they are in UTC. Raises `BadLabels`."""
    dtype = values.dtype
    if isinstance(dtype, pl.Datetime):
        return _in_utc(values, dtype.time_zone).dt.cast_time_unit("us")
    if dtype in (pl.Date(), pl.Null()):
        return values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if dtype == pl.String:
        return _from_text(values)
    if dtype.is_numeric():
        return _one_by_one(values)
    raise BadLabels(f"Column {values.name} is of {dtype}; expected times, or ISO-8601 text.")


def _in_utc(values: pl.Series, zone: str | None) -> pl.Series:
    if zone is None:
        return values.dt.replace_time_zone("UTC")
    return values.dt.convert_time_zone("UTC")


def _from_text(values: pl.Series) -> pl.Series:
    """The usual spelling all at once, whatever else is ISO-8601 one by one."""
    text = pl.col(values.name).str.strip_suffix(" UTC").str.replace(" ", "T", literal=True)
    zoned = pl.when(text.str.contains(HAS_OFFSET)).then(text).otherwise(text + "Z")
    at = values.to_frame().select(zoned.str.to_datetime("%+", time_unit="us", strict=False))
    read = at.to_series()
    if read.null_count() == values.null_count():
        return read
    return _one_by_one(values)


def _one_by_one(values: pl.Series) -> pl.Series:
    return pl.Series(values.name, [_micros(value, values.name) for value in values]).cast(UTC)


def _micros(value: object, column: str) -> int | None:
    try:
        return None if value is None else parse_timestamp(value)
    except BadTimestamp as error:
        raise BadLabels(f"Column {column}: {error}.") from error
