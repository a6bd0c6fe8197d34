"""Looking up what an event does not say itself: the genre of an episode."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

__all__ = ["EPISODES", "PRODUCTS", "GenreOf", "genre_lookup"]

EPISODES = {"episode_id": pl.String, "genre": pl.String}
PRODUCTS = {"product_id": pl.String, "category": pl.String}
GenreOf = Callable[[pl.DataFrame], pl.DataFrame]


def genre_lookup(episodes: pl.DataFrame) -> GenreOf:
    """Adds `genre` to frames with an `episode_id`; null where the episode is unknown."""
    genres = episodes.select(*EPISODES).unique("episode_id")

    def genre_of(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.join(genres, on="episode_id", how="left")

    return genre_of
