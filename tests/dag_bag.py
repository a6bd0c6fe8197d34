"""The DAGs as Airflow reads them, once for all tests: its import alone takes seconds."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["DAGS", "read_dags"]

DAGS = Path(__file__).parents[1] / "airflow" / "dags"


@cache
def read_dags() -> dict[str, Any]:
    """DAG id -> DAG; fails where a file cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Airflow's own modules use of others
        from airflow.dag_processing.dagbag import BundleDagBag
    bag = BundleDagBag(DAGS, bundle_path=DAGS, bundle_name="userflow")
    assert bag.import_errors == {}
    return dict(bag.dags)
