"""What the server adds to an event, and in which form it keeps an address."""

from __future__ import annotations

import json
import re

import pytest

from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.validation import Accepted, validate
from serving.collector.enrichment import Sender, added_fields, address_form, with_fields

SENDER = Sender(ip="192.0.2.0", user_agent="Browser/1.0")
NOW_US = 1_767_225_600_000_000
VIEW = {
    "user_id": "u",
    "session_id": "s",
    "event_type": "product_view",
    "product_id": "p",
    "timestamp": NOW_US // 1000,
}


def event_of(raw: bytes) -> dict[str, object]:
    outcome = validate(COMMERCE, raw, NOW_US)
    assert isinstance(outcome, Accepted), outcome
    return outcome.event


def enriched(raw: bytes, sender: Sender = SENDER) -> bytes:
    event = event_of(raw)
    return with_fields(raw, added_fields(COMMERCE, event, sender), str(event["event_id"]))


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:abcd:12:34::5", "2001:db8:abcd::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", None),
        ("", None),
        (None, None),
    ],
)
def test_of_an_address_its_network_is_kept(address: str | None, kept: str | None) -> None:
    assert address_form("truncated", b"")(address) == kept


def test_a_hashed_address_is_the_same_for_the_same_salt_only() -> None:
    first, again, other = (address_form("hashed", salt) for salt in (b"a", b"a", b"b"))
    assert first("203.0.113.77") == again("203.0.113.77")
    assert first("203.0.113.77") != other("203.0.113.77")
    assert first("203.0.113.77") != first("203.0.113.78")
    assert re.fullmatch("[0-9a-f]{32}", str(first("203.0.113.77")))


def test_a_full_address_is_kept_as_it_is() -> None:
    assert address_form("full", b"")("203.0.113.77") == "203.0.113.77"


def test_what_an_event_lacks_is_added() -> None:
    event = event_of(enriched(json.dumps({**VIEW, "event_id": "e-1"}).encode()))
    assert (event["ip"], event["user_agent"]) == ("192.0.2.0", "Browser/1.0")
    assert event["event_id"] == "e-1"


@pytest.mark.parametrize(
    "sent",
    [
        {"ip": "10.0.0.1", "user_agent": "Mine"},
        {"context": {"ip": "10.0.0.1", "userAgent": "Mine"}},
        {"properties": {"ip": "10.0.0.1", "user_agent": "Mine"}},
    ],
)
def test_what_an_event_says_itself_stays(sent: dict[str, object]) -> None:
    raw = json.dumps({**VIEW, **sent}).encode()
    assert enriched(raw) == raw


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"ip": None, "event_id": None},
        {"brand": "event_id"},
        {"brand": 'a "ip" and a \\ and é'},
        {"page_url": "x", "eventId": None, "userAgent": None},
    ],
)
def test_a_resend_from_elsewhere_stays_the_same_event(sent: dict[str, object]) -> None:
    raw = json.dumps({**VIEW, **sent}).encode()
    here, there = enriched(raw), enriched(raw, Sender(ip="198.51.100.0"))
    assert event_of(here)["event_id"] == event_of(there)["event_id"] == event_of(raw)["event_id"]
    assert event_of(here)["ip"] == "192.0.2.0"
    assert event_of(there)["ip"] == "198.51.100.0"


def test_the_key_of_a_field_may_be_escaped() -> None:
    raw = json.dumps(VIEW).encode()[:-1] + b', "\\u0069p": null}'
    assert event_of(enriched(raw))["ip"] == "192.0.2.0"


def test_contracts_without_such_fields_get_none() -> None:
    assert added_fields(WEBTOON, {}, SENDER) == {}


def test_an_endless_agent_is_cut() -> None:
    raw = json.dumps(VIEW).encode()
    event = event_of(enriched(raw, Sender(user_agent="x" * 9_000)))
    assert event["user_agent"] == "x" * 1024
    assert event["ip"] is None
