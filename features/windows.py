"""Windowed features as they are declared: aggregations, and the windows to take them over.

A window `W` at time `t` covers the tiles that start after `t - W`: tiles of 10 s up to a window of
an hour, tiles of an hour beyond. `features.window_set` computes what is declared here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from zlib import crc32

import polars as pl

from features.columns import Column, ColumnType

__all__ = [
    "COARSE_US",
    "FINE_US",
    "HOUR_DAY_WEEK",
    "Aggregation",
    "Grid",
    "Kind",
    "Latest",
    "Rate",
    "Score",
    "Window",
    "counts_of",
    "kept_of",
    "signed_grid",
    "windows",
]

SECOND_US = 1_000_000
FINE_US = 10 * SECOND_US
COARSE_US = 3600 * SECOND_US
UNITS = {"m": 60 * SECOND_US, "h": 3600 * SECOND_US, "d": 86_400 * SECOND_US}


@dataclass(frozen=True, slots=True)
class Window:
    """A trailing window, named as in the suffix of its columns: `5m`, `24h`, `30d`."""

    name: str

    @property
    def width_us(self) -> int:
        return int(self.name[:-1]) * UNITS[self.name[-1]]

    @property
    def tile_us(self) -> int:
        return FINE_US if self.width_us <= COARSE_US else COARSE_US


def windows(names: str) -> tuple[Window, ...]:
    """`windows("5m 1h 7d")`."""
    return tuple(Window(name) for name in names.split())


HOUR_DAY_WEEK = windows("1h 24h 7d")


class Kind(Enum):
    """What an aggregation makes of the values in a window."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    MOST = "most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """Over the values of column `of`, nulls left out, of the rows in which every column of `where`
    holds one of its values. A count without `of` counts rows.

    Of `signed` rows some take others back: a row with `sign` -1 undoes the same row with +1. A
    minimum or a maximum of such rows cannot be kept.
    """

    kind: Kind
    of: str | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    signed: bool = False

    def rows(self) -> pl.Expr:
        """Which rows count."""
        tests = [pl.col(name).is_in(values) for name, values in self.where.items()]
        # Event time is never null; without a test of its own it would be one truth, not a column.
        known = pl.col(self.of or "event_at").is_not_null()
        return pl.all_horizontal(*tests, known).fill_null(value=False)

    def named(self, part: str) -> str:
        """The partial's name: the same for every aggregation that needs the same one."""
        tests = ",".join(f"{name}={'|'.join(values)}" for name, values in self.where.items())
        return f"{part}({self.of or '*'}; {tests}{'; signed' if self.signed else ''})"

    @property
    def code(self) -> int:
        """A short name for kept values; unlike a position it survives a change of the set."""
        return crc32(self.named("values").encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One aggregation over several windows: a feature for each."""

    name: str
    aggregation: Aggregation
    windows: tuple[Window, ...]
    doc: str
    unit: str | None = None

    @property
    def type(self) -> ColumnType:
        kind = self.aggregation.kind
        if kind is Kind.MOST:
            return ColumnType.STRING
        return ColumnType.LONG if kind in (Kind.COUNT, Kind.DISTINCT) else ColumnType.DOUBLE

    @property
    def columns(self) -> tuple[Column, ...]:
        return _columns(self.name, self.windows, self.type, self.doc, self.unit)


def signed_grid(
    name: str,
    kind: Kind,
    of: str | None,
    doc: str,
    *,
    over: tuple[Window, ...],
    unit: str | None = None,
) -> Grid:
    """A grid over all rows, of which some take others back."""
    signed = Aggregation(kind=kind, of=of, signed=True)
    return Grid(name=name, aggregation=signed, windows=over, doc=doc, unit=unit)


def counts_of(event_type: str, name: str, doc: str, *, over: tuple[Window, ...]) -> Grid:
    """How many events of a type there are."""
    counted = Aggregation(kind=Kind.COUNT, where={"event_type": (event_type,)})
    return Grid(name=name, aggregation=counted, windows=over, doc=doc, unit="events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A grid divided by another, window by window; null where the divisor is 0."""

    name: str
    of: str
    to: str
    windows: tuple[Window, ...]
    doc: str

    @property
    def columns(self) -> tuple[Column, ...]:
        return _columns(self.name, self.windows, ColumnType.DOUBLE, self.doc, "ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A weighted sum of grids over one window."""

    name: str
    weights: Mapping[str, float]
    window: Window
    doc: str

    @property
    def column(self) -> Column:
        terms = " + ".join(f"{w:g} x {name}_{self.window.name}" for name, w in self.weights.items())
        return Column(self.name, ColumnType.DOUBLE, f"{self.doc} {terms}.")

    def expression(self) -> pl.Expr:
        """The value, of a frame that has the grids' columns."""
        terms = [pl.col(f"{name}_{self.window.name}") * w for name, w in self.weights.items()]
        return pl.sum_horizontal(terms).cast(pl.Float64).alias(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """The last value of a column, or with `most` a list of its last distinct values, oldest first.

    Nulls are left out, and rows in which a column of `where` holds none of its values. Of equal
    event times the larger event id is the later. With `ends`, an empty text says that from then on
    there is no value.
    """

    name: str
    of: str
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    most: int | None = None
    type: ColumnType = ColumnType.STRING
    signed: bool = False
    ends: bool = False
    doc: str

    @property
    def aggregation(self) -> Aggregation:
        """Which values are kept."""
        return Aggregation(kind=Kind.DISTINCT, of=self.of, where=self.where, signed=self.signed)

    @property
    def column(self) -> Column:
        type_ = self.type if self.most is None else ColumnType.STRING_LIST
        return Column(self.name, type_, self.doc)


def kept_of(latest: Iterable[Latest]) -> dict[int, int]:
    """How many of the newest values are kept, by the code of what several features may be of."""
    kept: dict[int, int] = {}
    for one in latest:
        code = one.aggregation.code
        kept[code] = max(kept.get(code, 1), one.most or 1)
    return kept


def _columns(
    name: str, over: Sequence[Window], type_: ColumnType, doc: str, unit: str | None
) -> tuple[Column, ...]:
    return tuple(
        Column(f"{name}_{window.name}", type_, f"{doc} Last {window.name}.", unit=unit)
        for window in over
    )
