"""The spellings of a shopping event: most clients send the canonical one, some an older one.

Each shape is a function from the canonical event to what that client would have sent. A client
keeps its shape for a whole session; what the shape cannot say is sent in the canonical one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from features.contract import camel_case
from producer.population import Profile
from producer.times import MS_US, local_time, to_iso

__all__ = ["SHAPES", "Render", "choose_shape"]

Event = dict[str, Any]
Render = Callable[[Event, int, Profile], Event]

BARE_TYPES = {"product_view": "view", "add_to_cart": "cart", "purchase": "purchase"}
BARE_NAMES = {
    "product_id": "product_id",
    "category": "category_code",
    "brand": "brand",
    "price": "price",
    "user_id": "user_id",
    "session_id": "user_session",
}
IDENTITY = ("event_id", "user_id", "session_id", "event_type")
# What has a place of its own in the older shapes and so is not repeated in `properties`.
PLACED = {*IDENTITY, "timestamp", "page_url", "referrer", "platform", "device_type"}
PLACED |= {"ip", "user_agent", "utm_source", "utm_campaign"}
WEATHER = ("clear", "cloudy", "rain", "snow")
DAY_PARTS = ("night", "morning", "afternoon", "evening")


def flat(event: Event, at_us: int, _user: Profile) -> Event:
    """The canonical spelling."""
    return {**event, "timestamp": to_iso(at_us)}


def nested(event: Event, at_us: int, user: Profile) -> Event:
    """Context in a tree, the rest under `properties`, time in epoch milliseconds."""
    return {
        **_identity(event),
        "timestamp": at_us // MS_US,
        "context": _context(event, at_us, user),
        "properties": _properties(event),
    }


def bare(event: Event, at_us: int, user: Profile) -> Event:
    """The public data sets: views, carts and purchases of known users; a purchase is a price."""
    if event["event_type"] not in BARE_TYPES or "user_id" not in event:
        return flat(event, at_us, user)
    renamed = {new: event[old] for old, new in BARE_NAMES.items() if old in event}
    if event["event_type"] == "purchase":
        renamed["price"] = event["total_amount"]
    return {
        "event_time": to_iso(at_us),
        "event_type": BARE_TYPES[event["event_type"]],
        **renamed,
    }


def camel(event: Event, at_us: int, _user: Profile) -> Event:
    """CamelCase names; `properties` is a map of strings, so a basket has no place in it."""
    context = {name: event[name] for name in ("ip", "platform", "referrer") if name in event}
    properties = {**_properties(event), "page_url": event.get("page_url")}
    return {
        **{camel_case(name): value for name, value in _identity(event).items()},
        "timestamp": at_us // MS_US,
        "properties": {
            camel_case(name): str(value)
            for name, value in properties.items()
            if name != "items" and value is not None
        },
        "context": {**context, "userAgent": event.get("user_agent", "")},
    }


# shape -> its share of all sessions
SHAPES: Mapping[Render, float] = {flat: 0.90, nested: 0.04, bare: 0.03, camel: 0.03}


def choose_shape(rng: Random) -> Render:
    """One shape, by its share."""
    return rng.choices(tuple(SHAPES), tuple(SHAPES.values()))[0]


def _identity(event: Event) -> Event:
    return {name: event[name] for name in IDENTITY if name in event}


def _properties(event: Event) -> Event:
    return {name: value for name, value in event.items() if name not in PLACED}


def _context(event: Event, at_us: int, user: Profile) -> Event:
    local = local_time(at_us, user.utc_offset)
    # Weather follows from the day and the place alone: neighbours see the same sky.
    sky = (local.toordinal() * 7 + user.utc_offset) % len(WEATHER)
    return {
        "page": _present(url=event.get("page_url"), referrer=event.get("referrer")),
        "device": {"type": user.device},
        "platform": user.platform,
        "weather": {"status": WEATHER[sky], "temperature": 24.0 - 8 * sky + local.hour / 4},
        "temporal": {
            "time_of_day": DAY_PARTS[local.hour // 6],
            "day_of_week": local.strftime("%A").lower(),
        },
        "user": {"login_status": "user_id" in event, "segment": user.segment},
        "campaign": _present(
            utm_source=event.get("utm_source"), utm_campaign=event.get("utm_campaign")
        ),
    }


def _present(**values: Any) -> Event:
    return {name: value for name, value in values.items() if value is not None}
