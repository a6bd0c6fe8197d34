"""What stands in the online tables, and where it differs from what an oracle computes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from features.views import VIEWS
from infra.endpoints import Endpoints

__all__ = ["differences", "known", "online", "plain"]

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


def online(stack: Endpoints, view: str) -> Rows:
    """The rows of a view by their keys; times in microseconds."""
    with psycopg.connect(stack.postgres, row_factory=dict_row) as connection:
        found = connection.execute(f"SELECT * FROM online.{view}").fetchall()
    rows = [{name: plain(value) for name, value in row.items()} for row in found]
    return {tuple(row[name] for name in VIEWS[view].key): row for row in rows}


def known(stack: Endpoints, dimension: str, key: str, value: str) -> dict[str, str]:
    """A column of `dim.<dimension>` by another."""
    with psycopg.connect(stack.postgres) as connection:
        return dict(connection.execute(f"SELECT {key}, {value} FROM dim.{dimension}").fetchall())


def plain(value: Any) -> Any:
    """Times as microseconds, all else as it is."""
    return round(value.timestamp() * 1_000_000) if isinstance(value, datetime) else value


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Row:
    """Feature -> what was found and what was wanted, where they are not the same."""
    return {
        name: (found[name], value)
        for name, value in wanted.items()
        if not _is_same(found[name], value)
    }


def _is_same(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, float | int):
        return bool(found == pytest.approx(wanted, rel=1e-9))
    return bool(found == wanted)
