"""Labels: who, when, and whatever else stands beside it, from a frame or a file.

The columns come back as they were given; what is joined on is a typed copy of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from features.columns import Column, ColumnType, polars_type
from features.views import VIEWS, FeatureView
from serving.training.errors import BadLabels, first_line
from serving.training.times import moments

__all__ = ["TIMES", "Labels", "read_labels"]

# The first of them that is there says when.
TIMES = ("label_at", "event_timestamp", "timestamp")
SUFFIXES = (".parquet", ".csv", ".jsonl")
# A file without types would make numbers of them, and 007 would be 7.
IDS = {
    column.name: pl.String()
    for view in VIEWS.values()
    for column in view.entity
    if column.type is ColumnType.STRING
}


@dataclass(frozen=True)
class Labels:
    """`frame`: as given."""

    frame: pl.DataFrame

    @cached_property
    def at(self) -> pl.Series:
        """When: in UTC. Raises `BadLabels`."""
        for name in TIMES:
            if name in self.frame.columns:
                return moments(self.frame[name])
        raise BadLabels(
            f"The labels do not say when: found {_named(self.frame)}; expected a column "
            f"{TIMES[0]} (or {' or '.join(TIMES[1:])})."
        )

    def entities(self, view: FeatureView) -> pl.DataFrame:
        """Who: the view's entity in its types. Raises `BadLabels`."""
        missing = [name for name in view.key if name not in self.frame.columns]
        if missing:
            raise BadLabels(
                f"The labels lack {', '.join(missing)}, which {view.name} is keyed by: found "
                f"{_named(self.frame)}; expected {', '.join(view.key)}."
            )
        return pl.DataFrame([_typed(self.frame[column.name], column) for column in view.entity])


def read_labels(labels: Any) -> Labels:
    """Of a frame (Polars, Arrow, pandas), or of a Parquet, CSV or JSON lines file."""
    if isinstance(labels, pl.LazyFrame):
        return Labels(labels.collect())
    if isinstance(labels, pl.DataFrame):
        return Labels(labels)
    if isinstance(labels, str | Path):
        return Labels(_read(Path(labels)))
    try:
        return Labels(pl.DataFrame(labels))
    except (TypeError, ValueError, PolarsError) as error:
        kind = type(labels).__name__
        raise BadLabels(f"Labels of type {kind} cannot be read: pass a frame or a path.") from error


def _read(path: Path) -> pl.DataFrame:
    if path.suffix not in SUFFIXES:
        raise BadLabels(f"{path} has suffix {path.suffix!r}; expected {', '.join(SUFFIXES)}.")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        if path.suffix == ".csv":
            return _read_csv(path)
        return pl.read_ndjson(path, infer_schema_length=None)
    except (OSError, PolarsError) as error:
        raise BadLabels(f"{path} cannot be read: {first_line(error)}") from error


def _read_csv(path: Path) -> pl.DataFrame:
    names = pl.read_csv(path, n_rows=0).columns
    return pl.read_csv(
        path,
        schema_overrides={name: IDS[name] for name in names if name in IDS},
        infer_schema_length=None,
    )


def _typed(values: pl.Series, column: Column) -> pl.Series:
    if column.type is ColumnType.TIMESTAMP:
        return moments(values)
    wanted, found = polars_type(column), values.dtype
    # A fraction is nobody's id: 7.0 would be looked for as such and found nowhere.
    if found.is_float() or found.is_temporal() or found.is_nested():
        raise BadLabels(f"Column {column.name} is of {found}; expected {wanted}.")
    try:
        return values.cast(wanted)
    except PolarsError as error:
        raise BadLabels(
            f"Column {column.name} is of {found}, and not all of it is of {wanted}."
        ) from error


def _named(frame: pl.DataFrame) -> str:
    return ", ".join(frame.columns) or "no column"
