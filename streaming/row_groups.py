"""The rows of each key as one value of the state store, and many such values as one frame.

Reading a frame for each key would cost more than the rows do. So a value is laid out such that
the values of thousands of keys become one frame by joining bytes:

    rows (4 bytes) | the rows, fixed width: numbers, and the lengths of strings | their characters

Row by row, a null is the smallest integer, NaN, or the length -1: none of them occurs as a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

__all__ = ["GROUP", "RowGroups"]

GROUP = "group"
NULL = -(1 << 63)
HEAD = 4


class RowGroups:
    """The form of one kind of row: columns of type Int64, Float64 or String."""

    def __init__(self, schema: Mapping[str, type[pl.DataType]]) -> None:
        self.schema = dict(schema)
        self._strings = [name for name, type_ in self.schema.items() if type_ is pl.String]

    @cached_property
    def _row(self) -> np.dtype[Any]:
        forms: dict[type[pl.DataType], str] = {pl.Int64: "<i8", pl.Float64: "<f8", pl.String: "<i4"}
        return np.dtype([(name, forms[type_]) for name, type_ in self.schema.items()])

    def to_values(self, frame: pl.DataFrame, groups: int) -> list[bytes]:
        """The value of each of the groups 0, 1, ... of `frame`, which has a column `group`."""
        frame = frame.sort(GROUP, maintain_order=True)
        starts = np.searchsorted(frame[GROUP].to_numpy(), np.arange(groups + 1)).tolist()
        rows = np.empty(frame.height, self._row)
        for name, type_ in self.schema.items():
            rows[name] = _without_nulls(frame[name], type_)
        offsets, characters = self._characters(frame)
        fixed, width = rows.tobytes(), self._row.itemsize
        return [
            (end - start).to_bytes(HEAD, "little")
            + fixed[start * width : end * width]
            + characters[offsets[start] : offsets[end]]
            for start, end in pairwise(starts)
        ]

    def to_frame(self, values: Sequence[bytes]) -> pl.DataFrame:
        """All rows of the values, with the number of their value in column `group`."""
        counts = [int.from_bytes(value[:HEAD], "little") for value in values]
        ends = [HEAD + count * self._row.itemsize for count in counts]
        pairs = list(zip(values, ends, strict=True))
        rows = np.frombuffer(b"".join(value[HEAD:end] for value, end in pairs), self._row)
        characters = b"".join(value[end:] for value, end in pairs)
        columns = {GROUP: pl.Series(np.repeat(np.arange(len(values), dtype=np.int64), counts))}
        strings = self._read_strings(rows, characters)
        for name, type_ in self.schema.items():
            columns[name] = next(strings) if type_ is pl.String else _with_nulls(rows[name], type_)
        return pl.DataFrame(columns)

    def _characters(self, frame: pl.DataFrame) -> tuple[list[int], bytes]:
        """Where the characters of each row begin, and all of them, row by row."""
        if not self._strings or frame.is_empty():
            return [0] * (frame.height + 1), b""
        texts = pl.concat_str(pl.col(name).fill_null("") for name in self._strings)
        joined = frame.select(texts).to_series().rechunk()
        lengths = joined.str.len_bytes().to_numpy()
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).tolist()
        return offsets, "".join(joined.to_list()).encode()

    def _read_strings(self, rows: np.ndarray[Any, Any], characters: bytes) -> Iterator[pl.Series]:
        if not self._strings:
            return
        lengths = np.stack([rows[name] for name in self._strings], axis=1).reshape(-1)
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths.clip(0), out=offsets[1:])
        buffers = pa.py_buffer(offsets), pa.py_buffer(characters)
        texts = pl.Series(pa.LargeStringArray.from_buffers(len(lengths), *buffers))
        known = pl.Series(lengths >= 0)
        texts = pl.select(pl.when(known).then(texts)).to_series()
        for place in range(len(self._strings)):
            yield texts.gather_every(len(self._strings), place)


def _without_nulls(column: pl.Series, type_: type[pl.DataType]) -> np.ndarray[Any, Any]:
    if type_ is pl.String:
        return column.str.len_bytes().cast(pl.Int32).fill_null(-1).to_numpy()
    null = float("nan") if type_ is pl.Float64 else NULL
    return column.fill_null(null).to_numpy()


def _with_nulls(values: np.ndarray[Any, Any], type_: type[pl.DataType]) -> pl.Series:
    column = pl.Series(np.ascontiguousarray(values))
    if type_ is pl.Float64:
        return column.fill_nan(None)
    return column.set(column == NULL, None)
