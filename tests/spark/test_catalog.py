"""The lake's tables by name: registered by `userflow init`, read by another Spark process."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.catalog import tables
from infra.endpoints import Endpoints

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

DAY = date(2026, 3, 5)
REPOSITORY = Path(__file__).parents[2]
READ = """
import json
from infra.catalog import catalog_session
from infra.endpoints import Endpoints
from infra.settings import load_settings
settings = load_settings()
with catalog_session(settings, Endpoints.read(settings.home)) as spark:
    names = [row.tableName for row in spark.sql("SHOW TABLES IN feature_store").collect()]
    rows = spark.sql("SELECT count(*) AS n FROM feature_store.session_features").first().n
    daily = spark.sql("SELECT user_id, segment FROM feature_store.user_segments").first()
    with open(f"/proc/{spark._jvm.java.lang.ProcessHandle.current().pid()}/cmdline") as file:
        print(json.dumps({"names": names, "rows": rows, "daily": daily, "arguments": file.read()}))
"""


def run(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_process_reads_by_name_what_init_registered(
    stack: Endpoints, stack_home: Path
) -> None:
    segments = pl.DataFrame({"user_id": ["u1"], "segment": ["vip"], "run_date": [DAY]})
    shutil.rmtree(f"{stack.lake}/batch/user_segments", ignore_errors=True)
    segments.write_delta(f"{stack.lake}/batch/user_segments")
    first = json.loads(run(stack_home, "-m", "infra", "init", "--json"))
    assert {*first["tables_registered"]} >= {*tables(), "user_segments"}
    assert json.loads(run(stack_home, "-m", "infra", "init", "--json"))["tables_registered"] == []

    found = json.loads(run(stack_home, "-c", READ))
    assert {*found["names"]} >= {*tables(), "user_segments"}
    assert found["rows"] >= 0
    assert found["daily"] == ["u1", "vip"]
    assert str(conninfo_to_dict(stack.postgres)["password"]) not in found["arguments"]
    site = stack_home / "hive" / "hive-site.xml"
    assert stat.S_IMODE(site.stat().st_mode) == 0o600
