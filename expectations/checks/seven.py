"""The seven checks, declared once, and to which of them belongs what a contract refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from expectations.checks.day import Day, Found
from expectations.checks.fields import (
    duplicate_event_id,
    required_fields,
    timestamps,
    value_ranges,
)
from expectations.checks.shopping import funnel_order, order_amount, platform_device
from features.contract import Contract

__all__ = ["CHECK_OF_REASON", "SEVEN", "Check", "check_of_reject"]


@dataclass(frozen=True, slots=True)
class Check:
    """A rule that the events of a day keep."""

    name: str
    says: str
    look: Callable[[Day], Found]


SEVEN = (
    Check("required_fields", "Every field that the event type requires is there", required_fields),
    Check("duplicate_event_id", "An event id stands once", duplicate_event_id),
    Check("value_ranges", "Numbers lie in their range, names among the allowed", value_ranges),
    Check("funnel_order", "An add_to_cart comes before the purchase", funnel_order),
    Check("timestamps", "Times are ISO-8601, of a plausible year", timestamps),
    Check("order_amount", "total_amount is items less discount plus shipping", order_amount),
    Check("platform_device", "Platform, device and session fit together", platform_device),
)
# What cannot be read has none of the fields it should have.
CHECK_OF_REASON = {
    "not_json": "required_fields",
    "not_an_object": "required_fields",
    "missing_field": "required_fields",
    "wrong_type": "value_ranges",
    "out_of_range": "value_ranges",
    "not_allowed": "value_ranges",
    "too_large": "value_ranges",
    "bad_timestamp": "timestamps",
    "too_old": "timestamps",
    "in_the_future": "timestamps",
    "late": "timestamps",
}
NAMED_FIELD = r"^Field '(\w+)'"


def check_of_reject(contract: Contract) -> tuple[pl.Expr, pl.Expr]:
    """Name of the check, and a reason that quotes no value, of a frame like `REJECTS`.

    A required field of a wrong type is as good as missing.
    """
    field = pl.col("reason").str.extract(NAMED_FIELD)
    required = [f.name for f in contract.fields if f.required or f.required_for]
    code = pl.col("reason_code")
    is_missing = (code == "wrong_type") & field.is_in(required).fill_null(False)
    check = pl.when(is_missing).then(pl.lit("required_fields"))
    reason = pl.format("{}: {}", code, field)
    return check.otherwise(code.replace_strict(CHECK_OF_REASON)), pl.coalesce(reason, code)
