"""The serving copy's spelling, against Python's own exact decimals."""

from __future__ import annotations

import math
import random
import struct
from decimal import Decimal

import polars as pl
import pytest

from features.columns import Column, ColumnType
from features.views import view_named
from streaming.sinks.redis_text import key_of, text_of

SESSION_FEATURES = view_named("session_features")


def spelled(kind: ColumnType, values: list[object], dtype: pl.DataType) -> list[str | None]:
    frame = pl.DataFrame({"value": values}, schema={"value": dtype})
    return frame.select(text_of(Column("value", kind, "A value."))).to_series().to_list()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-7, "0.0000001"),
        (-1.5e-7, "-0.00000015"),
        (0.5, "0.5"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e15, "1000000000000000.0"),
        (1e16, "10000000000000000.0"),
        (-1.25e17, "-125000000000000000.0"),
        (1.2345678901234568e16, "12345678901234568.0"),
        (5e-324, "0." + "0" * 323 + "5"),
        (None, None),
    ],
)
def test_a_double_is_plain_decimal_text(value: float | None, text: str | None) -> None:
    assert spelled(ColumnType.DOUBLE, [value], pl.Float64()) == [text]


def test_any_double_reads_back_with_the_fewest_digits() -> None:
    rng = random.Random(3)
    drawn = (struct.unpack("<d", rng.randbytes(8))[0] for _ in range(5_000))
    values = [value for value in drawn if math.isfinite(value)]
    texts = spelled(ColumnType.DOUBLE, values, pl.Float64())
    for value, text in zip(values, texts, strict=True):
        assert text is not None
        assert "e" not in text
        assert float(text) == value
        # The same number, not only the same double: no digit was made up.
        assert Decimal(text) == Decimal(repr(value))


def test_other_types() -> None:
    assert spelled(ColumnType.LONG, [2**63 - 1, None], pl.Int64()) == ["9223372036854775807", None]
    assert spelled(ColumnType.BOOLEAN, [True, False], pl.Boolean()) == ["true", "false"]
    times = spelled(ColumnType.TIMESTAMP, [1_123_000, -1], pl.Datetime("us", "UTC"))
    assert times == ["1970-01-01T00:00:01.123000Z", "1969-12-31T23:59:59.999999Z"]
    lists = spelled(ColumnType.STRING_LIST, [['q"', "😀"], [], None], pl.List(pl.String()))
    assert lists == ['["q\\"","😀"]', "[]", None]


def test_ids_stand_in_the_key_as_they_are() -> None:
    frame = pl.DataFrame({"session_id": ["a:b {c}"], "episode_id": ['"😀']})
    keys = frame.select(key_of(SESSION_FEATURES.redis_key)).to_series().to_list()
    assert keys == ['webtoon_session:a:b {c}:"😀']
