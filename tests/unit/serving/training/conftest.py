"""A lake to join labels with."""

from __future__ import annotations

import polars as pl
import pytest
from logged_rows import ROW, ROWS

from features.columns import polars_schema
from features.views import VIEWS


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One row of some views."""
    folder = tmp_path_factory.mktemp("lake")
    for name, row in ROWS.items():
        schema = polars_schema(VIEWS[name].log_columns)
        rows = pl.DataFrame([{**ROW, **row}], schema=schema)
        rows.write_delta(f"{folder}/features/{name}")
    return str(folder)
