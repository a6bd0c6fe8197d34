"""How a product does lately, among all shoppers."""

from __future__ import annotations

import polars as pl

from features.columns import ColumnType
from features.commerce_user import ITEM, shopping
from features.dimensions import Dimensions
from features.window_set import WindowSet
from features.windows import (
    Latest,
    Rate,
    Score,
    Window,
    counts_of,
    windows,
)

__all__ = ["COMMERCE_PRODUCT", "of_products"]

OVER = windows("5m 1h 24h 7d")
PRICED = ("product_view", "add_to_cart")


def _rate(name: str, of: str, to: str, doc: str) -> Rate:
    return Rate(name=name, of=of, to=to, windows=OVER, doc=doc)


COMMERCE_PRODUCT = WindowSet(
    entity=("product_id",),
    grids=(
        counts_of("product_view", "view_count", "Views.", over=OVER),
        counts_of("add_to_cart", "cart_count", "Additions to a cart.", over=OVER),
        counts_of("purchase", "purchase_count", "Purchases with the product.", over=OVER),
    ),
    rates=(
        _rate("view_to_cart_rate", "cart_count", "view_count", "Additions to a cart per view."),
        _rate("cart_to_purchase_rate", "purchase_count", "cart_count", "Purchases per addition."),
    ),
    scores=(
        Score(
            name="popularity_score",
            weights={"view_count": 1, "cart_count": 5, "purchase_count": 20},
            window=Window("24h"),
            doc="What shoppers did with it, weighted by how much it says:",
        ),
    ),
    latest=(
        Latest(name="category", of="category", doc="The last category an event named, or its own."),
        Latest(
            name="price",
            of="price",
            where={"event_type": PRICED},
            type=ColumnType.DOUBLE,
            doc="The last price shown.",
        ),
    ),
)


def of_products(events: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """Accepted events as rows of `COMMERCE_PRODUCT`: one for each event and product.

    The product is part of a row's id, as a purchase has a row for each of its products.
    """
    rows = shopping(events, dimensions).filter(pl.col("product_id").is_not_null())
    purchase = pl.col("event_id").str.split("\0").list.first()
    rows = rows.with_columns(
        event_id=pl.concat_str(purchase, "product_id", separator="\x1f"),
        event_type=pl.col("event_type").replace({ITEM: "purchase"}),
    )
    return rows.unique("event_id").select(COLUMNS)


COLUMNS = ("event_id", "event_at", "product_id", "event_type", "category", "price")
