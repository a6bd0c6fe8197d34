"""The other sources: ingested, validated and archived by the declarations alone."""

from __future__ import annotations

from features.contract import Contract, Field, FieldType
from features.contracts.webtoon import COUNTRY

__all__ = ["SOURCES"]

EVENT_ID = Field(name="event_id", type=FieldType.ID, doc="Unique id; derived if absent.")
TIMESTAMP = Field(name="timestamp", type=FieldType.TIME, required=True, doc="Event time.")

ORDER_ITEM = (
    Field(name="product_id", type=FieldType.ID, required=True, doc="The product."),
    Field(name="quantity", type=FieldType.LONG, minimum=1, default=1, doc="Pieces."),
    Field(name="price", type=FieldType.DOUBLE, minimum=0, unit="currency", doc="Unit price."),
    Field(name="category", type=FieldType.STRING, doc="Category of the product."),
)

TRANSACTIONS = Contract(
    name="transactions",
    topic="transactions",
    version=1,
    doc="Orders and their payment.",
    key=("transaction_id",),
    fields=(
        EVENT_ID,
        Field(name="transaction_id", type=FieldType.ID, required=True, doc="The transaction."),
        Field(name="user_id", type=FieldType.ID, required=True, pii=True, doc="The buyer."),
        Field(name="order_items", type=FieldType.RECORDS, items=ORDER_ITEM, doc="What was bought."),
        Field(
            name="total_amount",
            type=FieldType.DOUBLE,
            required=True,
            minimum=0,
            unit="currency",
            doc="What was paid.",
        ),
        Field(
            name="currency",
            type=FieldType.STRING,
            required=True,
            pattern=r"[A-Z]{3}",
            doc="ISO-4217 code.",
        ),
        Field(name="payment_method", type=FieldType.STRING, doc="How it was paid."),
        Field(name="status", type=FieldType.STRING, required=True, doc="paid, refunded, ..."),
        TIMESTAMP,
    ),
)

USER_PROFILES = Contract(
    name="user-profiles",
    topic="user-profiles",
    version=1,
    doc="The newest profile of a user; the record's own time is the event time if none is sent.",
    key=("user_id",),
    fields=(
        EVENT_ID,
        Field(name="user_id", type=FieldType.ID, required=True, pii=True, doc="The user."),
        Field(name="segment", type=FieldType.STRING, doc="Segment of the user."),
        Field(name="country", type=FieldType.STRING, pattern=COUNTRY, doc="ISO-3166 alpha-2."),
        Field(name="registered_at", type=FieldType.TIME, doc="When the user registered."),
        Field(
            name="timestamp",
            type=FieldType.TIME,
            aliases=("updated_at", "updatedAt"),
            doc="When the profile changed.",
        ),
    ),
)

INVENTORY = Contract(
    name="inventory",
    topic="inventory",
    version=1,
    doc="Stock of a product in a warehouse.",
    key=("product_id",),
    fields=(
        EVENT_ID,
        Field(name="product_id", type=FieldType.ID, required=True, doc="The product."),
        Field(name="warehouse_id", type=FieldType.ID, required=True, doc="The warehouse."),
        Field(name="on_hand", type=FieldType.LONG, required=True, minimum=0, doc="Pieces there."),
        Field(name="reserved", type=FieldType.LONG, minimum=0, doc="Pieces promised."),
        TIMESTAMP,
    ),
)

SUPPORT_TICKETS = Contract(
    name="support-tickets",
    topic="support-tickets",
    version=1,
    doc="Customer service: one message per change of a ticket.",
    key=("ticket_id",),
    fields=(
        EVENT_ID,
        Field(name="ticket_id", type=FieldType.ID, required=True, doc="The ticket."),
        Field(name="user_id", type=FieldType.ID, required=True, pii=True, doc="The customer."),
        Field(name="channel", type=FieldType.STRING, doc="email, chat, phone, ..."),
        Field(name="topic", type=FieldType.STRING, doc="What it is about."),
        Field(
            name="priority",
            type=FieldType.STRING,
            allowed=("low", "normal", "high", "urgent"),
            doc="How urgent it is.",
        ),
        Field(
            name="status",
            type=FieldType.STRING,
            required=True,
            allowed=("open", "pending", "solved", "closed"),
            doc="Where it stands.",
        ),
        TIMESTAMP,
    ),
)

AD_SPEND = Contract(
    name="ad-spend",
    topic="ad-spend",
    version=1,
    doc="What a campaign cost and brought in one interval.",
    key=("campaign_id",),
    fields=(
        EVENT_ID,
        Field(name="campaign_id", type=FieldType.ID, required=True, doc="The campaign."),
        Field(name="utm_source", type=FieldType.STRING, doc="Marketing channel."),
        Field(name="impressions", type=FieldType.LONG, required=True, minimum=0, doc="Shown."),
        Field(name="clicks", type=FieldType.LONG, required=True, minimum=0, doc="Clicked."),
        Field(
            name="spend",
            type=FieldType.DOUBLE,
            required=True,
            minimum=0,
            unit="currency",
            doc="Cost.",
        ),
        Field(name="currency", type=FieldType.STRING, pattern=r"[A-Z]{3}", doc="ISO-4217 code."),
        TIMESTAMP,
    ),
)

WEATHER = Contract(
    name="weather",
    topic="weather",
    version=1,
    doc="Observed weather of a place.",
    key=("location_id",),
    fields=(
        EVENT_ID,
        Field(name="location_id", type=FieldType.ID, required=True, doc="The place."),
        Field(name="country", type=FieldType.STRING, pattern=COUNTRY, doc="ISO-3166 alpha-2."),
        Field(name="status", type=FieldType.STRING, required=True, doc="sunny, rainy, ..."),
        Field(
            name="temperature",
            type=FieldType.DOUBLE,
            required=True,
            minimum=-100,
            maximum=100,
            unit="degrees Celsius",
            doc="Air temperature.",
        ),
        Field(
            name="humidity",
            type=FieldType.DOUBLE,
            minimum=0,
            maximum=100,
            unit="percent",
            doc="Relative humidity.",
        ),
        TIMESTAMP,
    ),
)

SOURCES = (TRANSACTIONS, USER_PROFILES, INVENTORY, SUPPORT_TICKETS, AD_SPEND, WEATHER)
