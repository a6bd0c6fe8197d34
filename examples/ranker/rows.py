"""From a training set to numbers, by the same functions that serve: what is learned is what is
seen at request time.
"""

from __future__ import annotations

import polars as pl

from features.request_time import REQUEST_FEATURES, request_features
from serving.recommend.shop import shopper

__all__ = ["ASKED", "INPUTS", "numbers_of"]

OF_PRODUCTS = (
    "price",
    "popularity_score",
    "view_count_7d",
    "view_to_cart_rate_24h",
    "cart_to_purchase_rate_24h",
)
OF_SHOPPERS = ("avg_order_value_30d", "top_category_30d", "last_device_type")
# What the training set is asked for, and what the model takes.
ASKED = (
    *(f"commerce_user_features:{name}" for name in OF_SHOPPERS),
    *(f"product_features:{name}" for name in (*OF_PRODUCTS, "category")),
)
INPUTS = (*(each.column.name for each in REQUEST_FEATURES), *OF_PRODUCTS)


def numbers_of(training_set: pl.DataFrame) -> pl.DataFrame:
    """`label_at`, `label` and one column of numbers for each of `INPUTS`; null where unknown."""
    together = [request_features(shopper(row, {}), row) for row in training_set.to_dicts()]
    names = [each.column.name for each in REQUEST_FEATURES]
    of_request = pl.DataFrame(together, schema=dict.fromkeys(names, pl.Float64), strict=False)
    return training_set.hstack(of_request).select(
        "label_at", "label", *(pl.col(name).cast(pl.Float64) for name in INPUTS)
    )
