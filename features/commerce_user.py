"""What a shopper did lately: windows by aggregations, declared as grids."""

from __future__ import annotations

import polars as pl

from features.columns import ColumnType
from features.contracts.commerce import EVENT_TYPES
from features.dimensions import Dimensions
from features.session_set import SIGN
from features.window_set import IS_EVENT, WindowSet
from features.windows import Aggregation, Grid, Kind, Latest, Rate, counts_of, windows

__all__ = [
    "COMMERCE_USER",
    "ITEM",
    "of_shoppers",
    "patterns_of_users",
    "sessions_of_users",
    "shopping",
]

ALL = windows("5m 10m 30m 1h 24h 7d 30d")
# An item of a purchase is a row of its own, so that the purchase itself counts once.
ITEM = "purchased_item"
# So is a derived session, which may be taken back.
SESSION = "session"
INTERACTIONS = ("product_view", "click", "add_to_cart", "purchase", ITEM)
PRODUCT_EVENTS = (*INTERACTIONS, "remove_from_cart")


def _viewed_price(kind: Kind, doc: str) -> Grid:
    price = Aggregation(kind=kind, of="price", where={"event_type": ("product_view",)})
    name = f"{'avg' if kind is Kind.MEAN else kind.value}_viewed_price"
    return Grid(name=name, aggregation=price, windows=ALL, doc=doc)


def _amount(name: str, kind: Kind, doc: str) -> Grid:
    amount = Aggregation(kind=kind, of="total_amount", where={"event_type": ("purchase",)})
    return Grid(name=name, aggregation=amount, windows=ALL, doc=doc)


def _of_products(name: str, kind: Kind, of: str, types: tuple[str, ...], doc: str) -> Grid:
    seen = Aggregation(kind=kind, of=of, where={"event_type": types})
    return Grid(name=name, aggregation=seen, windows=ALL, doc=doc)


COMMERCE_USER = WindowSet(
    entity=("user_id",),
    grids=(
        counts_of("product_view", "view_count", "Products viewed.", over=ALL),
        counts_of("add_to_cart", "cart_count", "Additions to the cart.", over=ALL),
        counts_of("purchase", "purchase_count", "Purchases.", over=ALL),
        counts_of("click", "click_count", "Clicks.", over=ALL),
        counts_of("search", "search_count", "Searches.", over=ALL),
        counts_of("page_view", "page_view_count", "Pages viewed.", over=ALL),
        _viewed_price(Kind.MEAN, "Mean price of the products viewed."),
        _viewed_price(Kind.MAX, "Largest price of the products viewed."),
        _viewed_price(Kind.MIN, "Smallest price of the products viewed."),
        _amount("purchase_amount", Kind.SUM, "Sum of the purchases' amounts."),
        _amount("avg_order_value", Kind.MEAN, "Mean amount of a purchase."),
        _of_products(
            "unique_product_count", Kind.DISTINCT, "product_id", PRODUCT_EVENTS, "Products touched."
        ),
        _of_products(
            "unique_category_count",
            Kind.DISTINCT,
            "category",
            PRODUCT_EVENTS,
            "Categories of the products touched.",
        ),
        _of_products(
            "top_category", Kind.MOST, "category", INTERACTIONS, "The most interacted category."
        ),
        Grid(
            name="session_count",
            aggregation=Aggregation(kind=Kind.COUNT, where={"event_type": (SESSION,)}, signed=True),
            windows=windows("30d"),
            doc="Derived sessions, each in the window of its last event.",
            unit="sessions",
        ),
    ),
    rates=(
        Rate(
            name="cart_to_view_rate",
            of="cart_count",
            to="view_count",
            windows=ALL,
            doc="Additions to the cart for each view.",
        ),
        Rate(
            name="purchase_to_cart_rate",
            of="purchase_count",
            to="cart_count",
            windows=ALL,
            doc="Purchases for each addition to the cart.",
        ),
    ),
    latest=(
        Latest(
            name="recent_product_ids",
            of="product_id",
            where={"event_type": PRODUCT_EVENTS},
            most=50,
            doc="The last 50 distinct products touched, oldest first.",
        ),
        Latest(name="last_device_type", of="device_type", doc="Device of the last event."),
        Latest(name="last_platform", of="platform", doc="Platform of the last event."),
        Latest(
            name="last_seen_at",
            of="event_at",
            where={"event_type": EVENT_TYPES},
            type=ColumnType.TIMESTAMP,
            doc="Time of the last event.",
        ),
        Latest(
            name="pattern_detected",
            of="pattern_detected",
            ends=True,
            doc="The newest active pattern: active for an hour, unless it is cleared.",
        ),
    ),
)


def of_shoppers(events: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """Accepted events that say who, with the category of the product where they do not say it.

    A purchase with items leaves that to them, too.
    """
    known = events.select(*COLUMNS, "ip", "items").filter(pl.col("user_id").is_not_null())
    return _categorised(known, dimensions, of=pl.when(~HAS_ITEMS).then("product_id"))


def shopping(events: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """Accepted events as rows of `COMMERCE_USER`, categories looked up.

    A purchase with items leaves its products to them: their ids sort behind the purchase's own and
    before any other, in list order.
    """
    rows = events.select(*COLUMNS, "items").with_columns(
        pl.when(~HAS_ITEMS).then("product_id").alias("product_id")
    )
    items = (
        rows.filter(HAS_ITEMS)
        .with_columns(number=pl.int_ranges(pl.col("items").list.len()))
        .explode("items", "number")
        .select(
            pl.format("{}\0{}", "event_id", pl.col("number").cast(pl.String).str.zfill(9)).alias(
                "event_id"
            ),
            "event_at",
            "user_id",
            event_type=pl.lit(ITEM),
            product_id=pl.col("items").struct.field("product_id"),
        )
    )
    return _categorised(pl.concat([rows.drop("items"), items], how="diagonal"), dimensions)


def sessions_of_users(changes: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """Derived sessions that changed, as signed rows: one counts in the window of its last event."""
    del dimensions
    return changes.select(
        "user_id",
        SIGN,
        event_type=pl.lit(SESSION),
        event_at="ended_at",
        event_id=pl.col("started_at").cast(pl.String),
    )


def patterns_of_users(flags: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """Changes of the pattern that is shown, as rows that are no events."""
    del dimensions
    return flags.with_columns(pl.lit(value=False).alias(IS_EVENT))


def _categorised(
    rows: pl.DataFrame, dimensions: Dimensions, of: pl.Expr | None = None
) -> pl.DataFrame:
    """With the category that is known of a product, where there is none; `of`: which product's."""
    known = dimensions.products.select(asked="product_id", known="category")
    asked = rows.with_columns((pl.col("product_id") if of is None else of).alias("asked"))
    found = asked.join(known, on="asked", how="left")
    return found.with_columns(pl.coalesce("category", "known").alias("category")).drop(
        "asked", "known"
    )


HAS_ITEMS = (pl.col("event_type") == "purchase") & (pl.col("items").list.len().fill_null(0) > 0)
COLUMNS = (
    "event_id",
    "event_at",
    "user_id",
    "event_type",
    "product_id",
    "category",
    "price",
    "total_amount",
    "device_type",
    "platform",
)
