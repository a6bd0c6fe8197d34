"""The Hive metastore: the lake's tables by name, for every Spark that knows where it is.

It lives in PostgreSQL, schema `hive`, so that several processes use it at once. How to reach it
stands in a `hive-site.xml` of our own that only its owner may read: as a setting of a session the
password would show in the list of processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import psycopg
from deltalake import DeltaTable
from filelock import FileLock
from psycopg.conninfo import conninfo_to_dict
from pyspark.sql import SparkSession

from features.contracts import CONTRACTS
from features.views import VIEWS
from infra.database import jdbc_url, pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import DailyJobFailed
from infra.private_files import write_private
from infra.settings import Settings, load_settings
from infra.streams import spark_session
from streaming.batch.daily import DAILY_JOBS, table_path
from streaming.sinks.delta import DeltaSink
from streaming.sinks.lake_tables import LakeTable, archive_of, log_of

__all__ = ["DATABASE", "catalog_session", "register", "register_computed", "tables"]

DATABASE = "feature_store"
REGISTERED = """
SELECT t."TBL_NAME" FROM hive."TBLS" t JOIN hive."DBS" d USING ("DB_ID") WHERE d."NAME" = %s
"""


def tables() -> dict[str, LakeTable]:
    """Every table that the streams write, by its name in the catalog."""
    declared = [
        *(archive_of(contract) for contract in CONTRACTS.values()),
        *(log_of(view) for view in VIEWS.values()),
    ]
    return {table.path.rpartition("/")[2]: table for table in declared}


@contextmanager
def catalog_session(
    settings: Settings, endpoints: Endpoints, master: str = "local[2]"
) -> Iterator[SparkSession]:
    """A Spark session that knows the tables by name; it ends with the block."""
    spark = spark_session(settings, master, hive_site=_write_hive_site(settings, endpoints))
    try:
        yield spark
    finally:
        spark.stop()


def register(settings: Settings, endpoints: Endpoints) -> list[str]:
    """Make the tables of streams that are missing, and name them in the catalog, as well as those
    of the daily jobs that were computed; returns the new names.

    Starts Spark only if some are missing.
    """
    folder = settings.home / "hive"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(folder / "lock"):
        paths = {**{name: one.path for name, one in tables().items()}, **_computed(endpoints.lake)}
        missing = sorted(set(paths) - _registered(endpoints))
        if not missing:
            return []
        DeltaSink(endpoints.lake).ensure(topics=CONTRACTS, views=VIEWS)
        with catalog_session(settings, endpoints) as spark:
            place = _text(endpoints.lake)
            spark.sql(f"CREATE DATABASE IF NOT EXISTS {DATABASE} LOCATION {place}")
            for name in missing:
                place = _text(f"{endpoints.lake}/{paths[name]}")
                create = f"CREATE TABLE IF NOT EXISTS {DATABASE}.{name} USING DELTA LOCATION"
                spark.sql(f"{create} {place}")
    return missing


def register_computed(settings: Settings, endpoints: Endpoints) -> None:
    """Name the tables that the daily jobs have made in a catalog that `userflow init` has made.

    In a process of its own, as Spark learns of a metastore only when its JVM starts. Raises
    `DailyJobFailed`.
    """
    known = _registered(endpoints)
    if not known or _computed(endpoints.lake).keys() <= known:
        return
    command = [sys.executable, "-P", "-c", "from infra.catalog import main; main()"]
    environment = {
        **os.environ,
        "USERFLOW_HOME": str(settings.home),
        "USERFLOW_LAKE": settings.lake,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DailyJobFailed(
            "The tables of the day are written, but their names could not be registered: run "
            "`userflow init`, which does it too."
        )


def main() -> None:
    """Register what is missing, for the settings of this process."""
    settings = load_settings()
    register(settings, Endpoints.read(settings.home))


def _computed(lake: str) -> dict[str, str]:
    """The tables of the daily jobs that are there: name -> path below the lake."""
    names = [table for job in DAILY_JOBS.values() for table in job.tables]
    return {
        name: f"batch/{name}" for name in names if DeltaTable.is_deltatable(table_path(lake, name))
    }


def _registered(endpoints: Endpoints) -> set[str]:
    """The names that the metastore knows; asked of PostgreSQL, which takes no Hive client."""
    with psycopg.connect(pipeline_conninfo(endpoints.postgres)) as connection:
        found = connection.execute("""SELECT to_regclass('hive."TBLS"') IS NOT NULL""").fetchone()
        if found is None or not found[0]:
            return set()
        return {name for (name,) in connection.execute(REGISTERED, [DATABASE])}


def _write_hive_site(settings: Settings, endpoints: Endpoints) -> Path:
    """Returns the folder of `hive-site.xml`, which belongs on the driver's classpath."""
    folder = settings.home / "hive"
    known = conninfo_to_dict(endpoints.postgres)
    properties = {
        "javax.jdo.option.ConnectionURL": jdbc_url(endpoints.postgres, currentSchema="hive"),
        "javax.jdo.option.ConnectionDriverName": "org.postgresql.Driver",
        "javax.jdo.option.ConnectionUserName": str(known["user"]),
        "javax.jdo.option.ConnectionPassword": str(known.get("password", "")),
        "hive.metastore.schema.verification": "false",
        # With all of them at once it waits for a lock of its own.
        "datanucleus.schema.autoCreateAll": "false",
        "datanucleus.schema.autoCreateTables": "true",
        "datanucleus.schema.autoCreateColumns": "true",
        "datanucleus.schema.autoCreateConstraints": "false",
        "datanucleus.schema.validateTables": "false",
    }
    root = ET.Element("configuration")
    for name, value in properties.items():
        item = ET.SubElement(root, "property")
        ET.SubElement(item, "name").text = name
        ET.SubElement(item, "value").text = value
    write_private(folder / "hive-site.xml", ET.tostring(root, encoding="unicode"))
    return folder


def _text(value: str) -> str:
    """A SQL literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
