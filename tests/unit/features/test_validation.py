"""What a contract accepts, and with which reason it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from oracle.junk import NOW_US, WEBTOON_EVENT, raw_values
from oracle.validation import expected

from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.validation import Accepted, Rejected, validate

NESTED = {
    "event_id": "evt_1",
    "user_id": "u",
    "session_id": "session_xyz_789",
    "event_type": "add_to_cart",
    "timestamp": NOW_US // 1000,
    "context": {
        "page": {"url": "/products/prod_123", "referrer": "instagram.com"},
        "device": {"type": "mobile"},
        "weather": {"status": "sunny", "temperature": 26.5},
        "temporal": {"time_of_day": "afternoon", "day_of_week": "saturday"},
        "user": {"login_status": True, "segment": "returning_visitor"},
        "campaign": {"utm_source": "instagram", "utm_campaign": "summer"},
    },
    "properties": {"product_id": "prod_123", "price": 45000, "colour": "red"},
}
BARE = {"event_time": "2026-09-21 14:13:20 UTC", "event_type": "purchase", "user_id": 111}
CAMEL = {
    "eventId": "e",
    "userId": "u",
    "sessionId": "s",
    "eventType": "page_view",
    "timestamp": NOW_US // 1000,
    "properties": {"page": "/home", "result_count": "3"},
    "context": {"userAgent": "ua", "ip": "10.0.0.1", "platform": "web", "referrer": None},
}


def accepted(contract: Any, document: Any) -> dict[str, Any]:
    verdict = validate(contract, json.dumps(document).encode(), NOW_US)
    assert isinstance(verdict, Accepted), verdict
    return verdict.event


def reason(contract: Any, document: Any) -> str:
    verdict = validate(contract, json.dumps(document).encode(), NOW_US)
    assert isinstance(verdict, Rejected), verdict
    return verdict.reason_code


@settings(max_examples=200, deadline=None)
@given(raw_values(WEBTOON_EVENT, "event_id", "ui_version", "eventId", "scrollRatio"))
def test_agrees_with_the_oracle(raw: bytes | None) -> None:
    code, event = expected(raw, NOW_US)
    verdict = validate(WEBTOON, raw, NOW_US)
    if isinstance(verdict, Rejected):
        assert verdict.reason_code == code
        return
    found = {name: value for name, value in verdict.event.items() if name != "extra"}
    assert event is not None
    assert code == "ok"
    assert found == {**event, "event_id": event["event_id"] or found["event_id"]}


def test_the_nested_shape_is_mapped_and_what_is_unknown_is_kept() -> None:
    event = accepted(COMMERCE, NESTED)
    assert event["page_url"] == "/products/prod_123"
    assert event["device_type"] == "mobile"
    assert event["login_status"] is True
    assert event["price"] == 45000.0
    assert event["utm_campaign"] == "summer"
    assert event["extra"] == {"properties.colour": "red"}


def test_the_bare_shape_needs_no_order_and_no_product() -> None:
    event = accepted(COMMERCE, {**BARE, "price": 29.99})
    assert event["user_id"] == "111"
    assert event["total_amount"] == 29.99
    assert event["event_at"] == NOW_US
    assert accepted(COMMERCE, {**BARE, "event_type": "view"})["event_type"] == "product_view"


def test_the_camel_case_shape_is_mapped() -> None:
    event = accepted(COMMERCE, CAMEL)
    assert (event["page_url"], event["ip"], event["user_agent"]) == ("/home", "10.0.0.1", "ua")
    assert event["result_count"] == 3


def test_a_flat_purchase_needs_its_order() -> None:
    flat = {"event_type": "purchase", "user_id": "u", "timestamp": NOW_US // 1000}
    assert reason(COMMERCE, flat) == "missing_field"
    items = [{"productId": "p", "quantity": 2, "price": 10}, {"product_id": "q", "unit_price": 5}]
    event = accepted(COMMERCE, {**flat, "order_id": "o", "items": items})
    assert event["total_amount"] == 25.0
    assert event["items"][1] == {"product_id": "q", "quantity": 1, "unit_price": 5.0}


def test_an_amount_that_overflows_is_unknown_not_infinite() -> None:
    event = accepted(COMMERCE, {**BARE, "price": 1e308, "quantity": 10})
    assert event["total_amount"] is None


def test_anonymous_is_allowed_where_nothing_is_bought() -> None:
    event = {"event_type": "search", "search_query": "우산 ☂", "timestamp": NOW_US // 1000}
    assert accepted(COMMERCE, event)["user_id"] is None
    assert reason(COMMERCE, {**event, "event_type": "add_to_cart"}) == "missing_field"


def test_a_derived_id_depends_on_the_contract_only() -> None:
    event = {name: value for name, value in WEBTOON_EVENT.items() if name != "event_id"}
    first = accepted(WEBTOON, event)["event_id"]
    assert accepted(WEBTOON, {**event, "unknown": 1})["event_id"] == first
    assert accepted(WEBTOON, dict(reversed(event.items())))["event_id"] == first
    assert accepted(WEBTOON, {**event, "scroll_ratio": 0.6})["event_id"] != first


@pytest.mark.parametrize(
    ("offset_us", "code"),
    [
        (5 * 60 * 1_000_000, None),
        (5 * 60 * 1_000_000 + 1, "in_the_future"),
        (-35 * 86_400 * 1_000_000, None),
        (-35 * 86_400 * 1_000_000 - 1, "too_old"),
    ],
)
def test_time_bounds_are_inclusive(offset_us: int, code: str | None) -> None:
    raw = json.dumps(WEBTOON_EVENT).encode()
    verdict = validate(WEBTOON, raw, NOW_US - offset_us)
    assert (verdict.reason_code if isinstance(verdict, Rejected) else None) == code


@pytest.mark.parametrize("topic", CONTRACTS)
def test_every_contract_refuses_an_empty_object(topic: str) -> None:
    assert reason(CONTRACTS[topic], {}) == "missing_field"
