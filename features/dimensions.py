"""What an event does not say itself: the genre of an episode, the category of a product."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

__all__ = ["EPISODES", "PRODUCTS", "Dimensions", "no_dimensions"]

EPISODES: dict[str, Any] = {
    "episode_id": pl.String,
    "genre": pl.String,
    "tags": pl.List(pl.String),
    "avg_rating": pl.Float64,
}
PRODUCTS = {"product_id": pl.String, "category": pl.String}


class Dimensions(NamedTuple):
    """`episodes`: schema `EPISODES`; `products`: schema `PRODUCTS`; ids are unique."""

    episodes: pl.DataFrame
    products: pl.DataFrame


def no_dimensions() -> Dimensions:
    """Nothing is known."""
    return Dimensions(pl.DataFrame(schema=EPISODES), pl.DataFrame(schema=PRODUCTS))
