"""Both ways of reading a batch give the same frames."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.junk import FLAT_COMMERCE, NOW_US, WEBTOON_EVENT, raw_values

from features.contract import Contract
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.decoding import Decoder
from features.validation import Accepted, validate

WEBTOON_DECODER, COMMERCE_DECODER = Decoder(WEBTOON), Decoder(COMMERCE)


def one_by_one(contract: Contract, values: list[bytes | None]) -> tuple[list[Any], list[Any]]:
    events, rejects = [], []
    for row, raw in enumerate(values):
        verdict = validate(contract, raw, NOW_US)
        if isinstance(verdict, Accepted):
            events.append({**verdict.event, "row": row})
        else:
            rejects.append((row, verdict.reason_code, verdict.reason))
    return events, rejects


def check(decoder: Decoder, values: list[bytes | None]) -> None:
    decoded = decoder.decode(values, pl.Series([NOW_US] * len(values), dtype=pl.Int64))
    events, rejects = one_by_one(decoder.contract, values)
    frame = decoded.events.with_columns(pl.col("event_at").dt.timestamp("us"))
    found = [
        {**row, "extra": {pair["key"]: pair["value"] for pair in row["extra"] or []}}
        for row in frame.to_dicts()
    ]
    assert found == events
    assert decoded.rejects.rows() == rejects


@settings(max_examples=80, deadline=None)
@given(st.lists(raw_values(WEBTOON_EVENT, "ui_version", "eventId", "scrollRatio"), max_size=8))
def test_webtoon_batches_decode_as_they_validate(values: list[bytes | None]) -> None:
    check(WEBTOON_DECODER, values)


@settings(max_examples=80, deadline=None)
@given(st.lists(raw_values(FLAT_COMMERCE, "context", "items", "category", "page"), max_size=8))
def test_commerce_batches_decode_as_they_validate(values: list[bytes | None]) -> None:
    check(COMMERCE_DECODER, values)


@pytest.mark.parametrize(
    "change",
    [
        {"ui_version": 'a":b'},
        {"ui_version": "\u0085"},
        {"scroll_ratio": 1e-7},
        {"scroll_ratio": 0.1 + 0.2},
        {"user_id": "김철수 \U0001f600"},
        {"timestamp": "2026-09-21T14:13:20.123456Z"},
        {"event_id": None},
    ],
)
def test_what_looks_odd_is_read_as_it_is(change: dict[str, Any]) -> None:
    for text in (json.dumps, lambda v: json.dumps(v, ensure_ascii=False)):
        check(WEBTOON_DECODER, [text({**WEBTOON_EVENT, **change}).encode()])


def test_clean_events_take_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a clean event was handed to the slow way")

    monkeypatch.setattr("features.decoding.validate", refuse)
    value = json.dumps(WEBTOON_EVENT, separators=(",", ":")).encode()
    decoded = WEBTOON_DECODER.decode([value] * 3, pl.Series([NOW_US] * 3))
    assert decoded.events.height == 3


def test_a_name_that_stands_twice_is_found_in_a_batch() -> None:
    good = json.dumps(WEBTOON_EVENT)
    twice = good[:-1] + ', "user_id": "other"}'
    decoded = WEBTOON_DECODER.decode([good.encode(), twice.encode()], pl.Series([NOW_US] * 2))
    assert decoded.rejects.select("row", "reason_code").rows() == [(1, "not_json")]


def test_an_empty_batch_is_fine() -> None:
    check(WEBTOON_DECODER, [])
