"""What COPY reads is the event as the contract has it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.junk import FLAT_COMMERCE, NOW_US, WEBTOON_EVENT, raw_values

from features.contract import Contract
from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.decoding import Decoder
from features.timestamps import to_iso
from features.validation import RECORDED, Accepted, validate
from infra.raw.encoding import COLUMNS, copy_text

DAY, LOADED_AT = date(2026, 9, 21), datetime(2026, 9, 22, 2, tzinfo=UTC)


def rows(contract: Contract, values: list[Any]) -> list[dict[str, Any]]:
    received = pl.Series([NOW_US] * len(values), dtype=pl.Int64)
    events = Decoder(contract, RECORDED).decode(values, received).events
    text = copy_text(contract, events, run_date=DAY, run_id="r", loaded_at=LOADED_AT).decode()
    assert text == "" or text.endswith("\n")
    return [dict(zip(COLUMNS, cells(line), strict=True)) for line in text.split("\n")[:-1]]


def cells(line: str) -> list[str | None]:
    """As PostgreSQL reads the text format; no escape but the backslash's own is ever needed."""
    return [None if cell == "\\N" else cell.replace("\\\\", "\\") for cell in line.split("\t")]


def expected(contract: Contract, event: dict[str, Any]) -> dict[str, Any]:
    at = to_iso(event.pop("event_at"))
    times = {"registered_at"} & event.keys()
    event |= {name: to_iso(event[name]) for name in times if event[name] is not None}
    kept = {name: value for name, value in event.items() if value is not None}
    return {**kept, contract.time_field: at}


def check(contract: Contract, values: list[Any]) -> None:
    verdicts = [validate(contract, value, NOW_US, RECORDED) for value in values]
    events = [one.event for one in verdicts if isinstance(one, Accepted)]
    found = rows(contract, values)
    documents = sorted((json.loads(row["event"]) for row in found), key=repr_of)
    assert documents == sorted((expected(contract, event) for event in events), key=repr_of)
    for row in found:
        document = json.loads(row["event"])
        assert row["event_at"] == document[contract.time_field]
        for name in ("event_id", "event_type", "user_id", "session_id"):
            assert row[name] == document.get(name)


def repr_of(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(raw_values(WEBTOON_EVENT, "ui_version"), max_size=6))
def test_the_document_is_the_event_of_a_reader(values: list[bytes | None]) -> None:
    check(WEBTOON, values)


@settings(max_examples=60, deadline=None)
@given(st.lists(raw_values(FLAT_COMMERCE, "context", "items", "page"), max_size=6))
def test_the_document_is_the_event_of_a_shopper(values: list[bytes | None]) -> None:
    check(COMMERCE, values)


def test_items_extra_and_what_needs_escaping_are_kept() -> None:
    event = {
        **FLAT_COMMERCE,
        "items": [{"product_id": 'p"\\', "quantity": 2, "unit_price": 5.5}],
        "payment_method": 'tab\there\nand "quotes" \\N é',
        "x": {"deep": [1, None]},
        "y": None,
    }
    check(COMMERCE, [json.dumps(event).encode()])
    (row,) = rows(COMMERCE, [json.dumps(event).encode()])
    assert json.loads(row["event"])["extra"] == {"x": '{"deep": [1, null]}', "y": None}


def test_other_times_are_iso_too() -> None:
    profile = {"user_id": "u", "registered_at": 1790000000, "timestamp": "2026-09-21"}
    check(CONTRACTS["user-profiles"], [json.dumps(profile).encode()])


def test_what_is_the_same_in_all_rows_is_written() -> None:
    (row,) = rows(WEBTOON, [json.dumps(WEBTOON_EVENT).encode()])
    assert (row["run_date"], row["topic"], row["run_id"]) == ("2026-09-21", WEBTOON.topic, "r")
    assert row["loaded_at"] == "2026-09-22T02:00:00+00:00"


@pytest.mark.parametrize("topic", CONTRACTS)
def test_no_events_are_no_text(topic: str) -> None:
    assert rows(CONTRACTS[topic], []) == []
