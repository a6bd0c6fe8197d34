"""Values of the serving copy, read back: text to what JSON has, by the declared type."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from features.columns import Column, ColumnType

__all__ = ["reader_of"]


def _double(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _boolean(text: str) -> bool:
    return text == "true"


READERS: Mapping[ColumnType, Callable[[str], Any]] = {
    ColumnType.STRING: str,
    ColumnType.TIMESTAMP: str,
    ColumnType.DATE: str,
    ColumnType.DOUBLE: _double,
    ColumnType.LONG: int,
    ColumnType.INT: int,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.STRING_LIST: msgspec.json.decode,
    ColumnType.STRING_MAP: msgspec.json.decode,
    ColumnType.RECORDS: msgspec.json.decode,
}


def reader_of(column: Column) -> Callable[[str], Any]:
    """What turns the text of this column into its value."""
    return READERS[column.type]
