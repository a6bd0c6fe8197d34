"""What a shopper did lately: windows by aggregations, declared as grids."""

from __future__ import annotations

from features.windows import Aggregation, Grid, Kind, Rate, WindowSet, windows

__all__ = ["COMMERCE_USER"]

ALL = windows("5m 10m 30m 1h 24h 7d 30d")
INTERACTIONS = ("product_view", "click", "add_to_cart", "purchase")
PRODUCT_EVENTS = (*INTERACTIONS, "remove_from_cart")


def _count(name: str, event_type: str, doc: str) -> Grid:
    counted = Aggregation(kind=Kind.COUNT, where={"event_type": (event_type,)})
    return Grid(name=name, aggregation=counted, windows=ALL, doc=doc, unit="events")


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
        _count("view_count", "product_view", "Products viewed."),
        _count("cart_count", "add_to_cart", "Additions to the cart."),
        _count("purchase_count", "purchase", "Purchases."),
        _count("click_count", "click", "Clicks."),
        _count("search_count", "search", "Searches."),
        _count("page_view_count", "page_view", "Pages viewed."),
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
)
