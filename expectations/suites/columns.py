"""What follows from declared columns and a key, for any table that has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expectations.suites.ranges import range_of
from expectations.suites.rules import Rule, between, has_columns, has_type, not_null, unique
from features.columns import Column, ColumnType

__all__ = ["column_rules", "measured"]

WHOLE = ("BIGINT", "INTEGER", "SMALLINT")
REAL = ("DOUBLE PRECISION", "REAL", "NUMERIC")
# As SQLAlchemy prints them. dbt's sums of whole numbers are numeric.
TYPES: dict[ColumnType, tuple[str, ...]] = {
    ColumnType.STRING: ("TEXT", "VARCHAR"),
    ColumnType.DOUBLE: (*REAL, *WHOLE),
    ColumnType.LONG: (*WHOLE, "NUMERIC"),
    ColumnType.INT: (*WHOLE, "NUMERIC"),
    ColumnType.BOOLEAN: ("BOOLEAN",),
    ColumnType.TIMESTAMP: ("TIMESTAMP WITH TIME ZONE",),
    ColumnType.DATE: ("DATE",),
    ColumnType.STRING_MAP: ("JSONB",),
    ColumnType.RECORDS: ("JSONB",),
    ColumnType.STRING_LIST: ("TEXT[]",),
}


def column_rules(columns: Sequence[Column], key: Sequence[str]) -> tuple[Rule, ...]:
    """Presence, types, nulls and ranges of the columns, and that the key is one."""
    of_each = (rule for column in columns for rule in _rules_of(column))
    return (has_columns([column.name for column in columns]), unique(key), *of_each)


def measured(columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns whose mean is worth a look: those with a unit or a range."""
    return tuple(column.name for column in columns if range_of(column))


def _rules_of(column: Column) -> Iterator[Rule]:
    yield has_type(column.name, TYPES[column.type])
    if not column.nullable:
        yield not_null(column.name)
    bounds = range_of(column)
    if bounds:
        yield between(column.name, *bounds)
