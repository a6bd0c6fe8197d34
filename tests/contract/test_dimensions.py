"""The catalogue in PostgreSQL is the one that simulated events refer to."""

from __future__ import annotations

import psycopg
import pytest

from infra.dimensions import load_dimensions
from infra.endpoints import Endpoints
from producer.catalogue import dimensions

pytestmark = pytest.mark.stack


def test_loading_again_changes_only_what_differs(stack: Endpoints) -> None:
    with psycopg.connect(stack.postgres) as connection:
        load_dimensions(connection)
        connection.execute("UPDATE dim.products SET price = 0 WHERE product_id = 'prod_0001'")
        connection.execute("UPDATE dim.episodes SET genre = 'other' WHERE episode_id = 'ep_0002'")
        report = load_dimensions(connection)
        assert (report.episodes, report.products) == (1, 1)
        again = load_dimensions(connection)
        assert (again.episodes, again.products) == (0, 0)


def test_the_rows_are_the_catalogue(stack: Endpoints) -> None:
    with psycopg.connect(stack.postgres) as connection:
        load_dimensions(connection)
        rows = connection.execute(
            "SELECT episode_id, title, genre, tags, avg_rating, published_at FROM dim.episodes "
            "WHERE episode_id LIKE 'ep\\_____' ORDER BY episode_id"
        ).fetchall()
    expected = dimensions().episodes
    assert [row[0] for row in rows] == [episode.episode_id for episode in expected]
    first = expected[0]
    assert rows[0][1:4] == (first.title, first.genre, list(first.tags))
    assert rows[0][5] == first.published_at
