"""What is served, in Feast's words: types, entities, where its history is.

Every view of the online store is a feature view, and a feature service of the same name has all
its features. A feature has the name that it has here, so `view:feature` means the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from features.columns import Column, ColumnType
from serving.online.served import SERVED, ServedView

__all__ = ["ENTITIES", "feast_type", "log_path", "value_type"]

TYPES = {
    ColumnType.STRING: ("String", "STRING"),
    ColumnType.DOUBLE: ("Float64", "DOUBLE"),
    ColumnType.LONG: ("Int64", "INT64"),
    ColumnType.INT: ("Int32", "INT32"),
    ColumnType.BOOLEAN: ("Bool", "BOOL"),
    ColumnType.TIMESTAMP: ("UnixTimestamp", "UNIX_TIMESTAMP"),
    ColumnType.STRING_LIST: ("Array(String)", "STRING_LIST"),
    # Feast has no type for a day (`2026-01-31`), and what is nested is served as its JSON text.
    ColumnType.DATE: ("String", "STRING"),
    ColumnType.RECORDS: ("String", "STRING"),
    ColumnType.STRING_MAP: ("String", "STRING"),
}


def feast_type(column: Column) -> str:
    """The type of a field, as `feast.types` spells it."""
    return TYPES[column.type][0]


def value_type(column: Column) -> str:
    """The same as a member of `feast.ValueType`, which entities take."""
    return TYPES[column.type][1]


def log_path(view: ServedView) -> str | None:
    """The log of the view's changes, below the lake; what is published by day has none."""
    return f"features/{view.name}" if view.topic else None


def _entities() -> dict[str, Column]:
    found: dict[str, Column] = {}
    for view in SERVED.values():
        for column in view.entity:
            found.setdefault(column.name, column)
    return found


# An entity is its join key, and the same in every view.
ENTITIES: Mapping[str, Column] = MappingProxyType(_entities())
