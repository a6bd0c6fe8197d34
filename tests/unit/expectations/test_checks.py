"""Each of the seven checks finds what a naive second answer finds; and what they find together."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.seven import ORACLES

from expectations.checks import SEVEN, Check, Day, judge
from expectations.checks.day import CARTS, PLACE, REJECTS
from expectations.checks.seven import CHECK_OF_REASON
from features.contract import Contract
from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.decoding import event_schema
from features.validation import REASON_CODES

DAY = date(2026, 3, 5)
AMOUNTS = st.sampled_from([None, -1.0, 0.0, 0.005, 0.01, 0.015, 9.99, 10.0, 19.99, 20.0, 20.01])
TIMES = (
    datetime(1999, 12, 31, 23, 59, 59, 999999, UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 5, 9, 0, tzinfo=UTC),
    datetime(2026, 3, 5, 9, 1, tzinfo=UTC),
    datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2028, 1, 1, tzinfo=UTC),
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "product_id": st.just("p"),
            "quantity": st.integers(0, 2),
            "unit_price": st.sampled_from([None, -0.01, 0.0, 9.99, 10.0, 0.1]),
        }
    ),
    max_size=3,
)
EVENT = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from(["a", "b", "c", "d", "e", "f"]),
        "event_at": st.sampled_from(TIMES),
        "event_type": st.sampled_from(
            [None, "page_view", "click", "add_to_cart", *["purchase"] * 3]
        ),
        "user_id": st.sampled_from([None, "u", "v"]),
        "session_id": st.sampled_from([None, "s", "t"]),
        "platform": st.sampled_from([None, "ios", "android", "web", "amiga"]),
        "device_type": st.sampled_from([None, "mobile", "tablet", "desktop", "fridge"]),
        "page_url": st.sampled_from([None, "/"]),
        "element_id": st.sampled_from([None, "x"]),
        "price": AMOUNTS,
        "quantity": st.integers(0, 2),
        "total_amount": AMOUNTS,
        "discount": AMOUNTS,
        "shipping_fee": AMOUNTS,
        "items": st.none() | ITEMS,
    }
)


def day_of(
    events: list[dict[str, Any]],
    *,
    contract: Contract = COMMERCE,
    carts: Any = (),
    rejects: Any = (),
) -> Day:
    schema = {**PLACE, **event_schema(contract)}
    placed = [{"file": "f", "line": at, **event} for at, event in enumerate(events, start=1)]
    refused = [("f", len(events) + at, *one) for at, one in enumerate(rejects, start=1)]
    return Day(
        contract=contract,
        run_date=DAY,
        events=pl.DataFrame(placed, schema=schema).with_row_index("row"),
        rejects=pl.DataFrame(refused, schema=REJECTS, orient="row"),
        carts=pl.DataFrame(sorted(carts, key=str), schema=CARTS, orient="row"),
    )


@pytest.mark.parametrize("check", SEVEN, ids=lambda check: check.name)
@settings(max_examples=80, deadline=None)
@given(
    events=st.lists(EVENT, max_size=8),
    carts=st.sets(st.tuples(st.sampled_from(["u", "v"]), st.sampled_from([None, "s", "t"]))),
)
def test_a_check_agrees_with_the_oracle(
    check: Check, events: list[dict[str, Any]], carts: set[tuple[str, str | None]]
) -> None:
    found = check.look(day_of(events, carts=carts))
    full = [{**dict.fromkeys(event_schema(COMMERCE)), **event} for event in events]
    failing, checked = ORACLES[check.name](full, set(carts), DAY.year)
    assert set(found.failing["row"]) == failing
    assert found.failing.height == len(failing)
    assert found.checked == checked


GOOD = {
    "event_id": "p-1",
    "event_at": datetime(2026, 3, 5, 9, 30, tzinfo=UTC),
    "event_type": "purchase",
    "user_id": "u",
    "session_id": "s",
    "platform": "ios",
    "device_type": "tablet",
    "items": [{"product_id": "p", "quantity": 2, "unit_price": 10.0}],
    "discount": 5.0,
    "shipping_fee": 3.0,
    "total_amount": 18.0,
    "quantity": 1,
}
CART = {
    **GOOD,
    "event_id": "c-1",
    "event_type": "add_to_cart",
    "event_at": datetime(2026, 3, 5, 9, 29, tzinfo=UTC),
    "product_id": "p",
}


def failed_by(*events: dict[str, Any], **given_: Any) -> dict[str, int]:
    verdict = judge([day_of(list(events), **given_)])
    return {one.check: one.failed for one in verdict.outcomes if one.failed}


def test_a_good_order_fails_nothing() -> None:
    assert failed_by(CART, GOOD) == {}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"user_id": None}, {"required_fields": 1, "funnel_order": 1}),
        ({"event_id": "c-1"}, {"duplicate_event_id": 1}),
        ({"quantity": 0}, {"value_ranges": 1}),
        ({"session_id": "other"}, {"funnel_order": 1}),
        ({"event_at": datetime(2026, 3, 5, 9, 28, tzinfo=UTC)}, {"funnel_order": 1}),
        ({"event_at": CART["event_at"]}, {}),
        ({"event_at": datetime(2028, 1, 1, tzinfo=UTC)}, {"timestamps": 1}),
        ({"total_amount": 20.0}, {"order_amount": 1}),
        ({"total_amount": 18.01}, {}),
        ({"total_amount": 18.011}, {"order_amount": 1}),
        ({"device_type": "desktop"}, {"platform_device": 1}),
        ({"platform": "android"}, {"platform_device": 1}),
        ({"session_id": None}, {}),
    ],
)
def test_one_wrong_field_fails_the_check_it_should(
    change: dict[str, Any], check: dict[str, int]
) -> None:
    assert failed_by(CART, {**GOOD, **change}) == check


def test_a_cart_of_the_day_before_counts() -> None:
    assert failed_by(GOOD) == {"funnel_order": 1}
    assert failed_by(GOOD, carts=[("u", "s")]) == {}
    assert failed_by(GOOD, carts=[("u", "t")]) == {"funnel_order": 1}


READ = {
    "event_id": "1",
    "event_at": CART["event_at"],
    "user_id": "u",
    "session_id": "s",
    "episode_id": "e",
    "event_type": "enter",
    "country": "KR",
    "device": "desktop",
    "platform": "web",
}


def test_a_session_of_readers_keeps_its_platform_too() -> None:
    later = {**READ, "event_id": "2", "event_at": GOOD["event_at"], "platform": "android"}
    assert failed_by(READ, later, contract=WEBTOON) == {"platform_device": 1}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"event_type": "scroll", "scroll_ratio": 1.0}, {}),
        ({"event_type": "scroll", "scroll_ratio": 1.001}, {"value_ranges": 1}),
        ({"event_type": "scroll"}, {"required_fields": 1}),
        ({"country": "kr"}, {"value_ranges": 1}),
        ({"episode_id": None}, {"required_fields": 1}),
    ],
)
def test_a_reader_is_checked_by_the_readers_contract(
    change: dict[str, Any], check: dict[str, int]
) -> None:
    assert failed_by({**READ, **change}, contract=WEBTOON) == check


@pytest.mark.parametrize("topic", CONTRACTS)
def test_every_topic_is_checked_even_without_events(topic: str) -> None:
    assert failed_by(contract=CONTRACTS[topic]) == {}


def test_every_reason_of_the_contract_belongs_to_a_check() -> None:
    assert set(CHECK_OF_REASON) == set(REASON_CODES)
    assert set(CHECK_OF_REASON.values()) <= {check.name for check in SEVEN}


@pytest.mark.parametrize(
    ("code", "reason", "check", "told"),
    [
        (
            "missing_field",
            "Field 'user_id' is required.",
            "required_fields",
            "missing_field: user_id",
        ),
        ("not_json", "Expecting value.", "required_fields", "not_json"),
        (
            "wrong_type",
            "Field 'user_id' holds the array ['kim@example.com']; expected text.",
            "required_fields",
            "wrong_type: user_id",
        ),
        (
            "wrong_type",
            "Field 'price' holds the text 'x'; expected a number.",
            "value_ranges",
            "wrong_type: price",
        ),
        (
            "bad_timestamp",
            "Field 'timestamp': 'x' is not ISO-8601.",
            "timestamps",
            "bad_timestamp: timestamp",
        ),
    ],
)
def test_what_the_contract_refused_fails_its_check_and_is_told_without_values(
    code: str, reason: str, check: str, told: str
) -> None:
    verdict = judge([day_of([CART], rejects=[(code, reason)])])
    (outcome,) = [one for one in verdict.outcomes if one.failed]
    assert (outcome.check, outcome.checked) == (check, 2)
    assert outcome.examples == (
        {"topic": "user-events", "file": "f", "line": 2, "event_id": None, "reason": told},
    )


def test_an_event_that_fails_twice_is_left_out_once() -> None:
    wrong = {**GOOD, "quantity": 0, "total_amount": 1.0}
    verdict = judge([day_of([CART, wrong], rejects=[("not_json", "?")])])
    assert (verdict.total.checked, verdict.total.failed) == (3, 2)
    assert verdict.total.rate == pytest.approx(1 / 3)
    assert [frame["event_id"].to_list() for frame in verdict.good] == [["c-1"]]
    assert verdict.failures.select("line", "check").rows() == [
        (2, "value_ranges"),
        (2, "order_amount"),
        (3, "required_fields"),
    ]


def test_topics_are_judged_apart_and_counted_together() -> None:
    same_id = {**CART, "event_id": "x"}
    ticket = {
        "event_id": "x",
        "event_at": CART["event_at"],
        "ticket_id": "t",
        "user_id": "u",
        "status": "open",
    }
    verdict = judge([day_of([same_id]), day_of([ticket], contract=CONTRACTS["support-tickets"])])
    assert (verdict.total.checked, verdict.total.failed) == (2, 0)
    assert [one.checked for one in verdict.outcomes if one.check == "timestamps"] == [2]


def test_only_a_few_examples_are_kept() -> None:
    copies = [{**CART, "event_id": "same"}] * 50
    (outcome,) = [one for one in judge([day_of(copies)]).outcomes if one.failed]
    assert (outcome.failed, len(outcome.examples)) == (49, 5)
