"""Shopping behaviour: one flat canonical event; four source shapes arrive by their aliases."""

from __future__ import annotations

from math import isfinite

from features.contract import Contract, Field, FieldType, Record
from features.contracts.webtoon import DEVICES, PLATFORMS

__all__ = ["COMMERCE", "EVENT_TYPES"]

EVENT_TYPES = (
    "page_view",
    "product_view",
    "click",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
)
IDENTIFIED = ("add_to_cart", "remove_from_cart", "purchase")
# The public e-commerce data sets name the time so; they know no order and sometimes no product.
BARE = "event_time"

ITEM = (
    Field(name="product_id", type=FieldType.ID, required=True, doc="The product bought."),
    Field(name="quantity", type=FieldType.LONG, minimum=1, default=1, doc="Pieces."),
    Field(
        name="unit_price",
        type=FieldType.DOUBLE,
        minimum=0,
        aliases=("price",),
        unit="currency",
        doc="Price of one piece.",
    ),
)


def complete(event: Record) -> Record:
    """Fill `total_amount` of a purchase: the sum over its items, else price times quantity."""
    if event["total_amount"] is not None:
        return event
    items = event["items"]
    if items:
        prices = [i["unit_price"] for i in items]
        amount = None if None in prices else sum(i["unit_price"] * i["quantity"] for i in items)
    else:
        amount = None if event["price"] is None else event["price"] * event["quantity"]
    # Two finite factors may still overflow: then the amount is unknown, not infinite.
    return {**event, "total_amount": amount if amount is None or isfinite(amount) else None}


COMMERCE = Contract(
    name="commerce",
    topic="user-events",
    version=1,
    doc="A shopper views, searches, clicks, fills the cart and buys.",
    key=("session_id", "user_id"),
    value_aliases={"view": "product_view", "cart": "add_to_cart"},
    complete=complete,
    complete_for=("purchase",),
    fields=(
        Field(name="event_id", type=FieldType.ID, doc="Unique id of the event; derived if absent."),
        Field(
            name="user_id",
            type=FieldType.ID,
            required_for=IDENTIFIED,
            pii=True,
            doc="The shopper; null = anonymous.",
        ),
        Field(
            name="session_id",
            type=FieldType.ID,
            aliases=("user_session",),
            doc="One visit; without it only the derived session (gap 10 min) exists.",
        ),
        Field(
            name="event_type",
            type=FieldType.STRING,
            required=True,
            allowed=EVENT_TYPES,
            doc="What the shopper did; `view` and `cart` are accepted too.",
        ),
        Field(
            name="timestamp",
            type=FieldType.TIME,
            required=True,
            aliases=("event_time", "eventTime"),
            doc="Event time.",
        ),
        Field(
            name="platform",
            type=FieldType.STRING,
            allowed=PLATFORMS,
            aliases=("context.platform",),
            doc="Where the application runs.",
        ),
        Field(
            name="device_type",
            type=FieldType.STRING,
            allowed=DEVICES,
            aliases=("context.device.type",),
            doc="Kind of device.",
        ),
        Field(
            name="page_url",
            type=FieldType.STRING,
            required_for=("page_view",),
            aliases=("context.page.url", "page"),
            doc="Address of the page.",
        ),
        Field(name="page_type", type=FieldType.STRING, doc="Kind of page."),
        Field(
            name="referrer",
            type=FieldType.STRING,
            aliases=("context.page.referrer", "context.referrer"),
            doc="Where the shopper came from.",
        ),
        Field(
            name="element_id",
            type=FieldType.ID,
            required_for=("click",),
            doc="The element clicked.",
        ),
        Field(name="element_type", type=FieldType.STRING, doc="Kind of element clicked."),
        Field(
            name="search_query",
            type=FieldType.STRING,
            required_for=("search",),
            doc="What was searched for.",
        ),
        Field(name="result_count", type=FieldType.LONG, minimum=0, doc="Hits of the search."),
        Field(
            name="product_id",
            type=FieldType.ID,
            required_for=("product_view", "add_to_cart", "remove_from_cart"),
            waived_by=BARE,
            doc="The product interacted with.",
        ),
        Field(
            name="category",
            type=FieldType.STRING,
            aliases=("category_code",),
            doc="Category of the product; looked up in dim.products when absent.",
        ),
        Field(name="category_id", type=FieldType.ID, doc="Category id of the public data sets."),
        Field(name="brand", type=FieldType.STRING, doc="Brand of the product."),
        Field(
            name="price",
            type=FieldType.DOUBLE,
            minimum=0,
            aliases=("unit_price", "unitPrice"),
            unit="currency",
            doc="Price of one piece.",
        ),
        Field(name="quantity", type=FieldType.LONG, minimum=1, default=1, doc="Pieces."),
        Field(
            name="order_id",
            type=FieldType.ID,
            required_for=("purchase",),
            waived_by=BARE,
            doc="The order.",
        ),
        Field(name="payment_method", type=FieldType.STRING, doc="How it was paid."),
        Field(
            name="total_amount",
            type=FieldType.DOUBLE,
            minimum=0,
            aliases=("amount",),
            unit="currency",
            doc="What was paid; default: sum over items, else price x quantity.",
        ),
        Field(name="discount", type=FieldType.DOUBLE, minimum=0, unit="currency", doc="Discount."),
        Field(
            name="shipping_fee", type=FieldType.DOUBLE, minimum=0, unit="currency", doc="Shipping."
        ),
        Field(name="items", type=FieldType.RECORDS, items=ITEM, doc="What a purchase holds."),
        Field(
            name="ip",
            type=FieldType.STRING,
            aliases=("context.ip",),
            pii=True,
            doc="Address of the client.",
        ),
        Field(
            name="user_agent",
            type=FieldType.STRING,
            aliases=("context.userAgent", "context.user_agent"),
            pii=True,
            doc="User agent of the client.",
        ),
        Field(
            name="weather_status",
            type=FieldType.STRING,
            aliases=("context.weather.status",),
            doc="Weather where the shopper is.",
        ),
        Field(
            name="temperature",
            type=FieldType.DOUBLE,
            aliases=("context.weather.temperature",),
            unit="degrees Celsius",
            doc="Temperature where the shopper is.",
        ),
        Field(
            name="time_of_day",
            type=FieldType.STRING,
            aliases=("context.temporal.time_of_day",),
            doc="morning, afternoon, evening, night.",
        ),
        Field(
            name="day_of_week",
            type=FieldType.STRING,
            aliases=("context.temporal.day_of_week",),
            doc="Day of the week, as the client names it.",
        ),
        Field(
            name="login_status",
            type=FieldType.BOOLEAN,
            aliases=("context.user.login_status",),
            doc="Whether the shopper is logged in.",
        ),
        Field(
            name="segment",
            type=FieldType.STRING,
            aliases=("context.user.segment",),
            doc="Segment of the shopper, as the client knows it.",
        ),
        Field(
            name="utm_source",
            type=FieldType.STRING,
            aliases=("context.campaign.utm_source",),
            doc="Marketing channel.",
        ),
        Field(
            name="utm_campaign",
            type=FieldType.STRING,
            aliases=("context.campaign.utm_campaign",),
            doc="Marketing campaign.",
        ),
        Field(name="experiment_group", type=FieldType.STRING, doc="A/B/C group of the shopper."),
        Field(name="ui_version", type=FieldType.STRING, doc="User-interface version shown."),
    ),
)
