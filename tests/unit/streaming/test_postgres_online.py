"""What PostgreSQL copies out is read as it was: nothing is no empty text."""

from __future__ import annotations

from datetime import UTC, date, datetime

from features.columns import Column, ColumnType, polars_schema
from streaming.sinks.postgres_online import _read_csv

COLUMNS = [
    Column("text", ColumnType.STRING, "", nullable=False),
    Column("ratio", ColumnType.DOUBLE, ""),
    Column("total", ColumnType.LONG, ""),
    Column("small", ColumnType.INT, ""),
    Column("is_closed", ColumnType.BOOLEAN, ""),
    Column("seen_at", ColumnType.TIMESTAMP, ""),
    Column("day", ColumnType.DATE, ""),
    Column("tags", ColumnType.STRING_LIST, ""),
]
COPIED = r'''
"",1e-07,9223372036854775807,-3,"t",1767225600123456,"2026-01-01","[""say \""hi\"""",""웹툰"",""""]"
,,,,,,,
"x
y\N",Infinity,0,0,"f",-1,"1969-12-31","[]"
'''.lstrip()


def test_every_value_comes_back() -> None:
    found = _read_csv(COPIED.encode(), COLUMNS)
    assert found.schema == polars_schema(COLUMNS)
    first = datetime(2026, 1, 1, 0, 0, 0, 123_456, UTC)
    before = datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)
    assert found.rows() == [
        ("", 1e-7, 2**63 - 1, -3, True, first, date(2026, 1, 1), ['say "hi"', "웹툰", ""]),
        (None,) * 8,
        ("x\ny\\N", float("inf"), 0, 0, False, before, date(1969, 12, 31), []),
    ]


def test_a_key_of_one_column_may_be_empty() -> None:
    key = COLUMNS[:1]
    assert _read_csv(b'"a"\n""\n"b"\n', key)["text"].to_list() == ["a", "", "b"]


def test_a_chunk_without_any_value_keeps_its_types() -> None:
    assert _read_csv(b",,,,,,,\n", COLUMNS).schema == polars_schema(COLUMNS)
