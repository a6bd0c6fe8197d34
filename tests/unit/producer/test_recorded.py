"""Recorded files become records: lines untouched, rows by column, received when they happened."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from features.contracts import contract_named
from features.validation import Accepted, validate
from producer.errors import UnreadableFile
from producer.recorded import at_rate, recorded
from producer.sent import Sent

COMMERCE, WEBTOON = contract_named("commerce"), contract_named("webtoon")
PUBLIC = """\
event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde
2019-10-01 00:00:01 UTC,purchase,3900821,2053013552326770905,appliances.water,,33.20,554748717,
"""
FIRST_MS = 1_569_888_000_000


def read(path: Path, content: bytes | str) -> list[Sent]:
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return list(recorded(COMMERCE, [path]))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
def test_the_public_data_sets_are_understood(tmp_path: Path, name: str) -> None:
    first, second = read(tmp_path / name, PUBLIC)
    assert json.loads(first.value) == {
        "event_time": "2019-10-01 00:00:00 UTC",
        "event_type": "view",
        "product_id": "44600062",
        "category_id": "2103807459595387724",
        "brand": "shiseido",
        "price": "35.79",
        "user_id": "541312140",
        "user_session": "72d76fde",
    }
    assert (first.key, second.key) == (b"72d76fde", b"554748717")
    assert (first.received_at_ms, second.received_at_ms) == (FIRST_MS, FIRST_MS + 1000)
    for sent in (first, second):
        result = validate(COMMERCE, sent.value, sent.received_at_ms * 1000)
        assert isinstance(result, Accepted)
    assert result.event["total_amount"] == 33.2


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.read_csv(PUBLIC.encode()).with_columns(
        pl.col("event_time").str.strip_suffix(" UTC").str.to_datetime()
    ).write_parquet(path)
    first = next(recorded(COMMERCE, [path]))
    document = json.loads(first.value)
    assert (document["price"], document["user_id"]) == (35.79, 541312140)
    assert "category_code" not in document
    assert (first.key, first.received_at_ms) == (b"72d76fde", FIRST_MS)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_lines_are_sent_as_they_are(tmp_path: Path, name: str) -> None:
    lines = [
        b'{"user_id": "u1",  "session_id": 7, "timestamp": 1569888000}',
        b'{"properties": {"userId": "u2"}, "eventTime": "2019-10-01T00:00:00Z"}',
        b'{"user_id": "u3"',
        b"[1]",
        b'{"user_id": {"a": 1}, "timestamp": "yesterday"}',
        b"\xff\xfe",
    ]
    records = read(tmp_path / name, b"\r\n".join(lines) + b"\n\n")
    assert [sent.value for sent in records] == lines
    assert [sent.key for sent in records] == [b"7", b"u2", None, None, None, None]
    assert [s.received_at_ms for s in records] == [FIRST_MS, FIRST_MS, *[None] * 4]


def test_several_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.jsonl" for n in "ab"]
    for path in paths:
        path.write_text(f'{{"session_id": "{path.stem}"}}\n')
    assert [sent.key for sent in recorded(WEBTOON, paths)] == [b"a", b"b"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.csv.gz", "a.jsonl.gz"])
def test_an_empty_file_is_nothing_to_send(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / name, b"") == []
    assert read(tmp_path / name, PUBLIC.splitlines()[0] + "\n" if "csv" in name else b"\n") == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"There is no file .*nowhere\.csv"):
        list(recorded(COMMERCE, [tmp_path / "nowhere.csv"]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"x"),
        ("a.parquet", b"not parquet"),
        ("a.jsonl.gz.zip", b"x"),
        ("a.csv", b"a,b\n1,2,3\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile, match=name):
        list(recorded(COMMERCE, [tmp_path / name]))


def test_broken_gzip_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 1000)[:20])
    with pytest.raises(UnreadableFile, match="cannot be read"):
        list(recorded(COMMERCE, [tmp_path / "a.jsonl.gz"]))


def test_a_rate_makes_records_due_evenly() -> None:
    sent = [Sent("t", None, b"", 5, 5)] * 3
    assert [s.due_us for s in at_rate(sent, 4)] == [0, 250_000, 500_000]
