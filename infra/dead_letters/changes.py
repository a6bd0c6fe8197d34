"""How many features a replay changed: the rows of the entities concerned, before and after.

The rows of before are kept in temporary tables of the connection, and PostgreSQL compares: however
many there are, they never leave it. What others change meanwhile counts as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl
from psycopg import sql

from features.dimensions import no_dimensions
from features.views import VIEWS, FeatureView
from infra.dead_letters.letters import Connection

__all__ = ["Changed", "Snapshot", "entities"]

CREATE = """
CREATE TEMPORARY TABLE {before} (LIKE online.{view});
CREATE TEMPORARY TABLE {touched} ({key} text PRIMARY KEY)"""
KEEP = """
WITH fresh AS (
    INSERT INTO {touched} SELECT DISTINCT unnest(%s::text[]) ON CONFLICT DO NOTHING RETURNING {key})
INSERT INTO {before} SELECT v.* FROM online.{view} v JOIN fresh USING ({key})"""
COMPARE = """
SELECT count(*) FILTER (WHERE {any}), coalesce(sum({each}), 0)::bigint
FROM (SELECT * FROM online.{view} WHERE {key} IN (SELECT {key} FROM {touched})) a
FULL JOIN {before} b USING ({keys})"""
NEW_OR_GONE = (sql.SQL("a.epoch IS NULL"), sql.SQL("b.epoch IS NULL"))


@dataclass(frozen=True, slots=True)
class Changed:
    """Of a view: `rows` that are new, other or no more, and `features`, the values that differ."""

    rows: int
    features: int


@dataclass(slots=True)
class Snapshot:
    """The online rows as they were when their entity was first named."""

    connection: Connection
    views: set[str] = field(default_factory=set)

    def keep(self, topic: str, events: pl.DataFrame) -> None:
        """Remember the rows of the events' entities; call it before the events are sent."""
        for view, values in entities(topic, events):
            if view.name not in self.views:
                self.connection.execute(_composed(CREATE, view))
                self.views.add(view.name)
            self.connection.execute(_composed(KEEP, view), [values])

    def changes(self) -> Mapping[str, Changed]:
        """What has changed since, by view."""
        return {name: self._compared(VIEWS[name]) for name in sorted(self.views)}

    def _compared(self, view: FeatureView) -> Changed:
        differs = [
            sql.SQL("a.{0} IS DISTINCT FROM b.{0}").format(sql.Identifier(column.name))
            for column in view.features
        ]
        found = self.connection.execute(
            _composed(
                COMPARE,
                view,
                any=sql.SQL(" OR ").join([*NEW_OR_GONE, *differs]),
                each=sql.SQL(" + ").join(sql.SQL("({})::int").format(one) for one in differs),
                keys=sql.SQL(", ").join(map(sql.Identifier, view.key)),
            )
        ).fetchone()
        return Changed(*found) if found else Changed(0, 0)


def entities(topic: str, events: pl.DataFrame) -> Iterator[tuple[FeatureView, list[str]]]:
    """Whose rows accepted events may change: each view of the topic, with values of the first
    column of its key.
    """
    for view in VIEWS.values():
        if view.topic != topic:
            continue
        feed, key = view.feed, view.key[0]
        # A feed of visits takes its key from them, and they have it from their events.
        rows = events if feed is None or feed.of in VIEWS else _fed(view, events)
        values = rows[key].drop_nulls().unique(maintain_order=True).to_list()
        if values:
            yield view, values


def _fed(view: FeatureView, events: pl.DataFrame) -> pl.DataFrame:
    assert view.feed is not None  # noqa: S101 - for the type checker
    micros = events.with_columns(pl.col("event_at").dt.timestamp("us"))
    return view.feed.rows(micros, no_dimensions())


def _composed(template: str, view: FeatureView, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(template).format(
        view=sql.Identifier(view.name),
        key=sql.Identifier(view.key[0]),
        before=sql.Identifier("pg_temp", f"before_{view.name}"),
        touched=sql.Identifier("pg_temp", f"touched_{view.name}"),
        **parts,
    )
