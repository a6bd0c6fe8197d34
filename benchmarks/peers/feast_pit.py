"""A training set by Feast and its DuckDB offline store.

Runs with the python of Feast's environment, in an empty folder. Reads its arguments as JSON from
standard input: the log's folder, the labels, the view, its key, its features with their types, the
time to join on, and where the result goes. Prints what it took as JSON.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType, types
from feast.data_format import ParquetFormat
from feast.types import String

STORE = """\
project: pit
provider: local
registry: registry.db
online_store: null
offline_store:
  type: duckdb
entity_key_serialization_version: 3
"""


def main(
    *,
    log: str,
    labels: str,
    view: str,
    key: str,
    features: dict[str, str],
    time_field: str,
    out: str,
) -> dict[str, float]:
    """Make the set of the labels in memory, and write it when the clock has stopped."""
    store = _store(log, view, key, features, time_field)
    given = pd.read_parquet(labels)
    begun, used = time.perf_counter(), time.process_time()
    asked = [f"{view}:{feature}" for feature in features]
    made = store.get_historical_features(entity_df=given, features=asked).to_arrow()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    peak = _peak_bytes()
    pq.write_table(made, out)
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak}


def _peak_bytes() -> int:
    """The most resident memory so far; what `getrusage` says may be the parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def _store(
    log: str, view: str, key: str, features: dict[str, str], time_field: str
) -> FeatureStore:
    """With the types said, Feast need not look into the files for them."""
    Path("feature_store.yaml").write_text(STORE)
    entity = Entity(name=key, join_keys=[key], value_type=ValueType.STRING)
    source = FileSource(
        name=f"{view}_log",
        path=f"{log}/*.parquet",
        file_format=ParquetFormat(),
        timestamp_field=time_field,
    )
    of_log = FeatureView(
        name=view,
        entities=[entity],
        ttl=timedelta(0),
        source=source,
        schema=[
            Field(name=key, dtype=String),
            *(Field(name=name, dtype=getattr(types, dtype)) for name, dtype in features.items()),
        ],
    )
    store = FeatureStore(repo_path=".")
    store.apply([entity, of_log])
    return store


if __name__ == "__main__":
    import sys

    print(json.dumps(main(**json.load(sys.stdin))))
