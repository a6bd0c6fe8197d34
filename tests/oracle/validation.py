"""The webtoon contract by hand: what one raw value must become.

Spelled out from the specification, field by field; `features.contracts` is not read.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

__all__ = ["expected"]

SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NESTED = 64

EVENT_TYPES = ("enter", "scroll", "complete", "exit")
DEVICES = ("mobile", "tablet", "desktop")
PLATFORMS = ("ios", "android", "web")

ALWAYS = (
    "user_id",
    "session_id",
    "episode_id",
    "event_type",
    "country",
    "device",
    "platform",
    "timestamp",
)
SPELLINGS = {
    "event_id": ("event_id", "eventId"),
    "user_id": ("user_id", "userId"),
    "session_id": ("session_id", "sessionId", "user_session"),
    "episode_id": ("episode_id", "episodeId"),
    "event_type": ("event_type", "eventType"),
    "scroll_ratio": ("scroll_ratio", "scrollRatio"),
    "country": ("country",),
    "device": ("device",),
    "platform": ("platform",),
    "timestamp": ("timestamp",),
    "experiment_group": ("experiment_group", "experimentGroup"),
    "ui_version": ("ui_version", "uiVersion"),
}


class Reject(Exception):
    """Carries the reason code."""


def expected(raw: bytes | None, received_at_us: int) -> tuple[str, dict[str, Any] | None]:
    """`("ok", event)` with the time as `event_at`, or `(reason_code, None)`.

    A missing `event_id` stays null here: how it is derived is not for this module to say.
    """
    try:
        event = read_event(read_object(raw))
    except Reject as reject:
        return str(reject), None
    if event["event_at"] > received_at_us + 5 * 60 * SECOND:
        return "in_the_future", None
    if event["event_at"] < received_at_us - 35 * 24 * 3600 * SECOND:
        return "too_old", None
    return "ok", event


# --- the text -----------------------------------------------------------------------------------


def read_object(raw: bytes | None) -> dict[str, Any]:
    if raw is not None and len(raw) > 1024 * 1024:
        raise Reject("too_large")
    if not raw:
        raise Reject("not_json")
    try:
        text = raw.decode("utf-8")
        if text.startswith("\ufeff") or depth(text) > NESTED:
            raise Reject("not_json")
        document = json.loads(text, object_pairs_hook=unique_keys, parse_int=whole_number)
    except ValueError:
        raise Reject("not_json") from None
    if not isinstance(document, dict):
        raise Reject("not_an_object")
    return document


def depth(text: str) -> int:
    """How deep brackets nest outside of strings; the text need not be JSON."""
    deepest = now = 0
    for character in re.sub(r'"(\\.|[^"\\])*"', "", text, flags=re.DOTALL):
        now += (character in "[{") - (character in "]}")
        deepest = max(deepest, now)
    return deepest


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise Reject("not_json")
    return dict(pairs)


def whole_number(text: str) -> int | float:
    # Python refuses to read thousands of digits, and what no double holds is no number here.
    number = float(text)
    return int(text) if math.isfinite(number) else number


# --- the fields ---------------------------------------------------------------------------------


def read_event(document: dict[str, Any]) -> dict[str, Any]:
    readers = {
        "event_type": lambda value: one_of(value, EVENT_TYPES),
        "scroll_ratio": ratio,
        "country": country,
        "device": lambda value: one_of(value, DEVICES),
        "platform": lambda value: one_of(value, PLATFORMS),
        "timestamp": moment,
        "experiment_group": string,
        "ui_version": string,
    }
    event: dict[str, Any] = {}
    for name in SPELLINGS:
        value = find(document, name)
        if value is not None:
            event[name] = readers.get(name, identifier)(value)
        elif name in ALWAYS or (name == "scroll_ratio" and event["event_type"] == "scroll"):
            raise Reject("missing_field")
        else:
            event[name] = None
    event["event_at"] = event.pop("timestamp")
    return event


def find(document: dict[str, Any], name: str) -> Any:
    """The first spelling that is not null, first at the top, then under `properties`."""
    properties = document.get("properties")
    places = [document, properties if isinstance(properties, dict) else {}]
    for place in places:
        for spelling in SPELLINGS[name]:
            if place.get(spelling) is not None:
                return place[spelling]
    return None


def identifier(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Reject("wrong_type")
    categories = {unicodedata.category(character) for character in value}
    if not 1 <= len(value) <= 256 or categories & {"Cc", "Cs"}:
        raise Reject("out_of_range")
    return value


def string(value: Any) -> str:
    if not isinstance(value, str):
        raise Reject("wrong_type")
    if len(value) > 4096:
        raise Reject("out_of_range")
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in value)


def one_of(value: Any, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise Reject("wrong_type")
    if value not in allowed:
        raise Reject("not_allowed")
    return value


def country(value: Any) -> str:
    if not isinstance(value, str):
        raise Reject("wrong_type")
    if len(value) != 2 or not all("A" <= letter <= "Z" for letter in value):
        raise Reject("not_allowed")
    return value


def ratio(value: Any) -> float:
    if isinstance(value, str) and JSON_NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Reject("wrong_type")
    number = finite(value)
    if not 0.0 <= number <= 1.0:
        raise Reject("out_of_range")
    return number


def finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise Reject("wrong_type") from None
    if not math.isfinite(number):
        raise Reject("wrong_type")
    return number


# --- the clock ----------------------------------------------------------------------------------


def moment(value: Any) -> int:
    """Microseconds since 1970, UTC."""
    if isinstance(value, str):
        return at_number(float(value)) if JSON_NUMBER.fullmatch(value) else at_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Reject("bad_timestamp")
    return at_number(value)


def at_number(value: float) -> int:
    number = Fraction(finite(value))
    if number >= 10**14:
        raise Reject("bad_timestamp")
    return round(number * (1000 if number >= 10**11 else SECOND))


def at_text(text: str) -> int:
    try:
        parsed = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        raise Reject("bad_timestamp") from None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)
