"""Reading one entity from the online store, as the recommender's role may."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from features.batch_views import BatchView
from features.breaker import SourceHealth
from features.catalogue import any_view_named
from features.errors import CoreError
from infra.database import postgres_answers, recommender_conninfo
from infra.endpoints import Endpoints
from infra.source_health import read_sources

__all__ = ["degraded_source", "read_online"]


def read_online(endpoints: Endpoints, view_name: str, entity_id: str) -> dict[str, Any] | None:
    """The newest row of an entity, of a stream's view or a batch view; None if there is none.

    Composite ids are joined with `|`.
    """
    view = any_view_named(view_name)
    # The last parts take no `|`: an id of ours may hold any character, so split from the right.
    parts = entity_id.rsplit("|", len(view.key) - 1)
    if len(parts) != len(view.key):
        raise CoreError(f"An id of {view.name} has the form {'|'.join(view.key)}.")
    query = sql.SQL("SELECT {} FROM online.{} WHERE {}").format(
        sql.SQL(", ").join(
            sql.Identifier(c.name) for c in view.online_columns if c.name not in _GUARD
        ),
        sql.Identifier(view.name),
        sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(k)) for k in view.key),
    )
    as_reader = recommender_conninfo(endpoints.postgres)
    with postgres_answers(), psycopg.connect(as_reader, row_factory=dict_row) as reader:
        try:
            return reader.execute(query, parts).fetchone()
        except psycopg.DataError:  # a part is no number or no time, so it names nobody
            return None


def degraded_source(endpoints: Endpoints, view_name: str) -> SourceHealth | None:
    """The source of the view, if it is degraded; a batch view has none that is watched."""
    view = any_view_named(view_name)
    if isinstance(view, BatchView):
        return None
    with psycopg.connect(recommender_conninfo(endpoints.postgres)) as reader:
        return next(
            (s for s in read_sources(reader) if s.topic == view.topic and s.is_degraded), None
        )


_GUARD = ("generation", "epoch")
