"""Writes rows into Feast's online store, with Feast's own means.

Runs with the python of Feast's environment, in the folder of the repository. Reads its arguments as
JSON from standard input: the view, and a Parquet file with its columns.
"""

from __future__ import annotations

import json
import sys

import pandas as pd
from feast import FeatureStore

ROWS_AT_ONCE = 10_000


def main(*, view: str, path: str) -> None:
    """Write all rows of the file."""
    store = FeatureStore(repo_path=".")
    rows = pd.read_parquet(path)
    for at in range(0, len(rows), ROWS_AT_ONCE):
        store.write_to_online_store(view, df=rows.iloc[at : at + ROWS_AT_ONCE])


if __name__ == "__main__":
    main(**json.load(sys.stdin))
