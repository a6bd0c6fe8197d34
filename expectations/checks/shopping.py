"""Checks of what belongs together: a cart and its purchase, an order and its items, a session."""

from __future__ import annotations

import polars as pl

from expectations.checks.day import Day, Found, found

__all__ = ["funnel_order", "order_amount", "platform_device"]

WHO = ("user_id", "session_id")
LONG_AGO = pl.lit(0).cast(pl.Datetime("us", "UTC"))
TOLERANCE = 0.01
# What doubles lose when amounts are added, as a share of the amount.
ROUNDING = 1e-12
DEVICE_FIELDS = ("device", "device_type")
DEVICES_OF = {"ios": ("mobile", "tablet")}


def funnel_order(day: Day) -> Found:
    """An add_to_cart of the same user and session comes before a purchase, or at its moment.

    One of the day before counts. A purchase without a session needs any cart of its user.
    """
    purchases = day.of_type("purchase")
    if purchases.is_empty():
        return found(purchases, pl.lit(None, pl.String))
    carts = pl.concat(
        [
            day.carts.select(*WHO, cart_at=LONG_AGO),
            day.of_type("add_to_cart").select(*WHO, cart_at="event_at"),
        ]
    )
    first = pl.col("cart_at").min()
    compared = purchases.select("row", "event_at", *WHO).join(
        carts.group_by(WHO).agg(first), on=WHO, how="left"
    )
    compared = compared.join(carts.group_by("user_id").agg(of_user=first), on="user_id", how="left")
    cart_at = pl.coalesce("cart_at", pl.when(pl.col("session_id").is_null()).then("of_user"))
    has_cart = (cart_at <= pl.col("event_at")).fill_null(False)
    reason = pl.when(~has_cart).then(pl.lit("no add_to_cart of this user and session before it"))
    return found(compared, reason)


def order_amount(day: Day) -> Found:
    """`total_amount` is the sum of the items less the discount plus shipping, to 0.01.

    Purchases without items, without a price of every item or without a total have nothing to
    compare.
    """
    purchases = day.of_type("purchase")
    if purchases.is_empty():
        return found(purchases, pl.lit(None, pl.String))
    item = pl.element().struct.field
    amounts = pl.col("items").list.eval(item("unit_price") * item("quantity"))
    has_prices = (amounts.list.len() > 0) & ~amounts.list.eval(pl.element().is_null()).list.any()
    orders = purchases.filter(has_prices, pl.col("total_amount").is_not_null())
    discount, shipping = pl.col("discount").fill_null(0), pl.col("shipping_fee").fill_null(0)
    gross = amounts.list.sum()
    expected = gross - discount + shipping
    allowed = TOLERANCE + ROUNDING * (gross + discount + shipping)
    is_off = ~((pl.col("total_amount") - expected).abs() <= allowed)
    return found(orders, pl.when(is_off).then(pl.lit("total_amount is not what its items sum to")))


def platform_device(day: Day) -> Found:
    """What runs iOS is a mobile or a tablet; a session stays on the platform it began on."""
    device = next((name for name in DEVICE_FIELDS if name in day.events.columns), None)
    if device is None or "platform" not in day.events.columns:
        return Found(0, day.events.clear().select("row", reason=pl.lit(None, pl.String)))
    platform = pl.col("platform")
    events = day.events.filter(platform.is_not_null())
    mismatches = [
        pl.when((platform == name) & ~pl.col(device).is_in(devices)).then(
            pl.lit(f"{name} runs on {' or '.join(devices)} only")
        )
        for name, devices in DEVICES_OF.items()
    ]
    began = _first_platforms(events)
    changed = pl.when(platform != pl.col("began_on")).then(
        pl.lit("the platform changed within the session")
    )
    return found(
        events.select("row", "session_id", "platform", device).join(
            began, on="session_id", how="left", maintain_order="left"
        ),
        pl.coalesce(*mismatches, changed),
    )


def _first_platforms(events: pl.DataFrame) -> pl.DataFrame:
    """Session -> the platform it began on, for sessions that were seen on several."""
    seen = events.drop_nulls("session_id").group_by("session_id")
    several = seen.agg(pl.col("platform").n_unique()).filter(pl.col("platform") > 1)
    return (
        events.join(several, on="session_id", how="semi")
        .group_by("session_id")
        .agg(began_on=pl.col("platform").sort_by("event_at", "event_id").first())
    )
