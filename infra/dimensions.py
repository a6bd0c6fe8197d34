"""Load the catalogue that simulated events refer to: dim.episodes and dim.products.

Safe to run again: rows that are there and equal are not touched, and no row is ever removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from producer.catalogue import dimensions

__all__ = ["DimensionReport", "load_dimensions"]

EPISODES = ("episode_id", "title", "genre", "tags", "avg_rating", "published_at")
PRODUCTS = ("product_id", "name", "category", "brand", "price")


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionReport:
    """How many rows were new or changed."""

    episodes: int
    products: int


def load_dimensions(connection: Connection[Any]) -> DimensionReport:
    """Upsert the catalogue in the transaction that the caller owns."""
    rows = dimensions()
    return DimensionReport(
        episodes=_upsert(connection, "episodes", EPISODES, rows.episodes),
        products=_upsert(connection, "products", PRODUCTS, rows.products),
    )


def _upsert(
    connection: Connection[Any], table: str, columns: tuple[str, ...], rows: Iterable[object]
) -> int:
    names = {"target": sql.Identifier("dim", table), "staged": sql.Identifier(f"staged_{table}")}
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {staged} ON COMMIT DROP AS "
                "SELECT {columns} FROM {target} WITH NO DATA"
            ).format(columns=listed, **names)
        )
        copy = sql.SQL("COPY {staged} ({columns}) FROM STDIN").format(columns=listed, **names)
        with cursor.copy(copy) as copying:
            for row in rows:
                copying.write_row([_cell(getattr(row, column)) for column in columns])
        cursor.execute(_merge(columns, listed, names))
        changed = cursor.rowcount
        # The caller's transaction may load again before it commits.
        cursor.execute(sql.SQL("DROP TABLE {staged}").format(**names))
        return changed


def _cell(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _merge(
    columns: tuple[str, ...], listed: sql.Composed, names: dict[str, sql.Identifier]
) -> sql.Composed:
    """Rows that differ nowhere are left alone, so that a second run writes nothing."""
    key, *others = map(sql.Identifier, columns)
    return sql.SQL(
        "INSERT INTO {target} AS kept ({columns}) SELECT {columns} FROM {staged} "
        "ON CONFLICT ({key}) DO UPDATE SET {sets} WHERE ({kept}) IS DISTINCT FROM ({sent})"
    ).format(
        columns=listed,
        key=key,
        sets=_joined("{0} = excluded.{0}", others),
        kept=_joined("kept.{0}", others),
        sent=_joined("excluded.{0}", others),
        **names,
    )


def _joined(template: str, columns: list[sql.Identifier]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(template).format(column) for column in columns)
