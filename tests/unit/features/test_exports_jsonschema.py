"""The JSON Schema lets pass what the contract accepts and refuses what it can express."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator

from features.contract import Contract
from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.exports import to_jsonschema

READ = {
    "user_id": "u1",
    "session_id": "s1",
    "episode_id": "e1",
    "event_type": "enter",
    "country": "KR",
    "device": "mobile",
    "platform": "ios",
    "timestamp": "2026-01-01T00:00:00Z",
}
SHOPPED = {"user_id": "u1", "event_type": "page_view", "timestamp": 1.7e12, "page_url": "/"}


def accepts(contract: Contract, event: Any) -> bool:
    return Draft7Validator(to_jsonschema(contract)).is_valid(event)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda c: c.topic)
def test_the_schema_is_a_schema(contract: Contract) -> None:
    schema = to_jsonschema(contract)
    Draft7Validator.check_schema(schema)
    assert schema["$id"] == f"urn:userflow:{contract.topic}:v{contract.version}"
    assert [*schema["properties"]] == [field.name for field in contract.fields]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"user_id": 7},
        {"user_id": 7.0},
        {"user_id": "é" * 256},
        {"scroll_ratio": None},
        {"scroll_ratio": "0.5"},
        {"event_type": "scroll", "scroll_ratio": 1},
        {"timestamp": 1_700_000_000.5},
        {"ui_version": None},
        {"anything": {"else": [1]}},
    ],
    ids=str,
)
def test_webtoon_accepts(change: dict[str, Any]) -> None:
    assert accepts(WEBTOON, {**READ, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": ""},
        {"user_id": "a\tb"},
        {"user_id": "x" * 257},
        {"user_id": 7.5},
        {"user_id": True},
        {"user_id": None},
        {"event_type": "leave"},
        {"event_type": "scroll"},
        {"event_type": "scroll", "scroll_ratio": None},
        {"scroll_ratio": 1.01},
        {"scroll_ratio": "half"},
        {"scroll_ratio": True},
        {"country": "kr"},
        {"country": "KOR"},
        {"device": "watch"},
        {"timestamp": 1e14},
        {"timestamp": None},
        {"ui_version": "v" * 4097},
    ],
    ids=lambda change: str(change)[:40],
)
def test_webtoon_rejects(change: dict[str, Any]) -> None:
    assert not accepts(WEBTOON, {**READ, **change})


@pytest.mark.parametrize("name", READ)
def test_a_required_field_may_not_be_left_out(name: str) -> None:
    assert not accepts(WEBTOON, {k: v for k, v in READ.items() if k != name})


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        ({}, True),
        ({"user_id": None}, True),
        ({"page_url": None}, False),
        ({"event_type": "view", "product_id": "p"}, True),
        ({"event_type": "view"}, False),
        ({"event_type": "view", "event_time": "2019-10-01 00:00:00 UTC"}, True),
        ({"event_type": "cart", "product_id": "p", "user_id": None}, False),
        ({"login_status": "true"}, True),
        ({"login_status": "yes"}, False),
        ({"platform": None}, True),
        ({"quantity": 0}, False),
        ({"quantity": 1.5}, False),
        ({"items": [{"product_id": 1}]}, True),
        ({"items": [{"quantity": 1}]}, False),
        ({"items": {"product_id": 1}}, False),
    ],
    ids=str,
)
def test_commerce_conditions(change: dict[str, Any], accepted: bool) -> None:
    assert accepts(COMMERCE, {**SHOPPED, **change}) is accepted
