"""Both jobs in one driver process, on a cluster of two executor processes.

The python of the executors has the packages that userflow needs, but not userflow: what they run
can only have come from the driver.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import polars as pl
import pyspark
import pytest
from comparing import differences, known, online
from oracle.sessions import final_watermark
from oracle.views import Log, expected

from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.views import VIEWS
from infra.endpoints import Endpoints
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink

pytestmark = [pytest.mark.slow, pytest.mark.stack, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
MASTER = "local-cluster[2,1,1024]"
SECOND = 1_000_000
START_US = 1_790_000_000 * SECOND
Row = dict[str, Any]
# The checkpoint lies in a folder that all processes see.
FILE_MANAGER = (
    "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
)
# What the console script does, wherever the project lies.
USERFLOW = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from infra.cli import main; main()"


@pytest.fixture(scope="module")
def spark_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spark as it is, but what its workers write goes to a folder of ours."""
    home = tmp_path_factory.mktemp("spark")
    for entry in Path(pyspark.__file__).parent.iterdir():
        if entry.name not in ("conf", "work"):
            (home / entry.name).symlink_to(entry)
    (home / "conf").mkdir()
    defaults = f"spark.sql.streaming.checkpointFileManagerClass {FILE_MANAGER}\n"
    (home / "conf" / "spark-defaults.conf").write_text(defaults, encoding="ascii")
    return home


@pytest.fixture(scope="module")
def executors_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A python with our site-packages, but without the links in it that lead to the project."""
    home = tmp_path_factory.mktemp("python")
    venv.create(home, symlinks=True)
    own = sysconfig.get_path("purelib", "venv", {"base": str(home)})
    # Python reads no `.pth` file in a folder that another one adds.
    Path(own, "packages.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return home / "bin" / "python"


@pytest.fixture(scope="module")
def environment(stack_home: Path, spark_home: Path, executors_python: Path) -> dict[str, str]:
    """The driver's environment; PYTHONPATH would reach the executors too."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {
        **inherited,
        "USERFLOW_HOME": str(stack_home),
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": str(executors_python),
        # Three JVMs that live for half a minute: compiling well would take longer than it saves.
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
    }


@pytest.fixture(scope="module")
def sent(stack: Endpoints) -> dict[str, list[Row]]:
    """What validation lets pass of what stands in Kafka, each event once, by domain."""
    return {domain: send(stack, domain) for domain in ("webtoon", "commerce")}


def send(stack: Endpoints, domain: str) -> list[Row]:
    simulation = Simulation(
        domain=domain,
        rate=100,
        duration=30,
        users=100,
        seed=7,
        start_us=START_US,
        bad_rate=0.02,
        duplicate_rate=0.05,
        disorder_rate=0.1,
    )
    records = list(simulate(simulation))
    with KafkaSink(stack.kafka) as sink:
        sink.send(records)
    (topic,) = {record.topic for record in records}
    received = pl.Series([(one.received_at_ms or 0) * 1000 for one in records], dtype=pl.Int64)
    events = Decoder(CONTRACTS[topic]).decode([one.value for one in records], received).events
    rows = events.with_columns(pl.col("event_at").dt.timestamp("us")).to_dicts()
    return list({row["event_id"]: row for row in rows}.values())


@pytest.fixture(scope="module")
def summaries(
    sent: dict[str, list[Row]],
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Row]:
    """The run, started in a folder that has nothing to do with the project."""
    arguments = ["--jobs", "webtoon,commerce", "--master", MASTER, "--available-now", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", USERFLOW, "stream", *arguments],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {summary["job"]: summary for summary in json.loads(done.stdout.splitlines()[-1])}


def test_the_executors_python_does_not_have_the_project(
    environment: dict[str, str], executors_python: Path, tmp_path: Path
) -> None:
    for module, is_there in (("polars", True), ("features", False), ("streaming", False)):
        command = [str(executors_python), "-c", f"import {module}"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert (done.returncode == 0) is is_there, module


def test_both_executors_were_sent_the_code_and_ran_it(
    summaries: dict[str, Row], spark_home: Path
) -> None:
    executors = sorted((spark_home / "work").glob("app-*/*"))
    assert [executor.name for executor in executors] == ["0", "1"]
    for executor in executors:
        assert len(list(executor.glob("userflow-*.zip"))) == 1
        assert "delta-spark" in " ".join(jar.name for jar in executor.glob("*.jar"))


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_every_view_is_what_the_oracle_computes(
    stack: Endpoints, sent: dict[str, list[Row]], summaries: dict[str, Row], view: str
) -> None:
    domain = "webtoon" if VIEWS[view].topic == "webtoon_user_events" else "commerce"
    events = sent[domain]
    assert summaries[domain]["accepted"] == len(events)
    genres = known(stack, "episodes", "episode_id", "genre")
    categories = known(stack, "products", "product_id", "category")
    wanted = expected(view, Log(events, final_watermark(events), genres, categories))
    rows = online(stack, view)
    assert rows.keys() == wanted.keys()
    for key, features in wanted.items():
        assert not differences(rows[key], features), key
