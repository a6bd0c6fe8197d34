"""The catalogues as PostgreSQL has them, and the list of recent products as Redis has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from features.views import VIEWS
from serving.errors import Unavailable
from serving.online.redis_link import RedisLink, command
from serving.postgres import Postgres
from serving.recommend.catalogue import Catalogue, catalogue_of, episode_heat, product_heat
from serving.recommend.episodes import EPISODE_FEATURES
from serving.recommend.shopping import PRODUCT_FEATURES

__all__ = ["RedisRecent", "load_episodes", "load_products"]

# Reading a catalogue may take longer than a request may wait: requests wait only for the first.
LOAD_S = 5.0
OF_A_GROUP, OF_ALL = 100, 500
# The heat of `serving.recommend.catalogue`, for PostgreSQL to choose what is worth loading.
PRODUCT_HEAT = "coalesce(popularity_score, 0) + coalesce(view_count_7d, 0) / 7.0"
EPISODE_HEAT = "coalesce(read_count_24h, 0) + coalesce(read_count_7d, 0) / 7.0"
SHARES = """
    SELECT country, genre, sum(read_count_7d)::float8 FROM online.segment_features
    WHERE read_count_7d > 0 GROUP BY 1, 2"""


class RedisRecent:
    """`user_recent_products:{user_id}`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._key = VIEWS["commerce_user_features"].redis_lists["recent_product_ids"]

    async def of(self, user_id: str) -> list[str]:
        """At most 50, oldest first."""
        key = self._key.format(user_id=user_id).encode("utf-8", "surrogatepass")
        (found,) = await self._link.call(command("LRANGE", key, "-50", "-1"), 1)
        # Anything else is an error of Redis, as for a key that holds no list.
        return [name.decode("utf-8", "replace") for name in found] if type(found) is list else []


async def load_products(postgres: Postgres) -> Catalogue:
    """The hottest products of each category and of all."""
    query = _hottest("product_features", "product_id", "category", PRODUCT_HEAT, PRODUCT_FEATURES)
    rows = await _fetch(postgres, query)
    return catalogue_of(_items(rows, PRODUCT_FEATURES), group="category", heat=product_heat)


async def load_episodes(postgres: Postgres) -> Catalogue:
    """The hottest episodes of each genre and of all, without those that quality excludes."""
    query = _hottest("episode_features", "episode_id", "genre", EPISODE_HEAT, EPISODE_FEATURES)
    rows = await _fetch(postgres, query)
    shares = await _fetch(postgres, sql.SQL(SHARES))
    items = _items(rows, EPISODE_FEATURES)
    shown = {name: of for name, of in items.items() if of["quality_label"] != "exclude"}
    return catalogue_of(shown, group="genre", heat=episode_heat, shares=shares)


async def _fetch(postgres: Postgres, query: sql.SQL | sql.Composed) -> list[tuple[Any, ...]]:
    """Tables that `init` has not made yet are a store that has nothing to say yet."""
    try:
        return await postgres.fetch(query, timeout_s=LOAD_S)
    except psycopg.ProgrammingError as error:
        raise Unavailable("The catalogue cannot be read: run `userflow init`.") from error


def _hottest(view: str, key: str, group: str, heat: str, features: Sequence[str]) -> sql.Composed:
    return sql.SQL(
        "SELECT {key}, {features} FROM ("
        "SELECT *, row_number() OVER (PARTITION BY {group} ORDER BY {heat} DESC, {key}) AS place, "
        "row_number() OVER (ORDER BY {heat} DESC, {key}) AS overall FROM online.{view}) AS placed "
        "WHERE place <= {of_a_group} OR overall <= {of_all}"
    ).format(
        key=sql.Identifier(key),
        features=sql.SQL(", ").join(map(sql.Identifier, features)),
        group=sql.Identifier(group),
        heat=sql.SQL(heat),
        view=sql.Identifier(view),
        of_a_group=sql.Literal(OF_A_GROUP),
        of_all=sql.Literal(OF_ALL),
    )


def _items(
    rows: Sequence[tuple[object, ...]], features: Sequence[str]
) -> dict[str, dict[str, object]]:
    return {str(row[0]): dict(zip(features, row[1:], strict=True)) for row in rows}
