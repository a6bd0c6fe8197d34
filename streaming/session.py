"""The Spark session: one place for every setting, each with its reason."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from streaming.code_archive import write_code_archive

__all__ = ["SparkOptions", "create_session", "suit_codegen"]

STREAMING = "org.apache.spark.sql.execution.streaming"
WITH_LAKE = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # The tables are small: fifty tasks to read a table's log are forty-eight too many.
    "spark.databricks.delta.snapshotPartitions": "2",
}
# Throughput counts, and a collection of packed rows is short: the parallel collector leaves the
# cores to the tasks.
COLLECTOR = "-XX:+UseParallelGC"
# The optimising compiler takes a core for minutes, most of it for what runs once for each task. Ten
# times its thresholds leave it what runs for each record.
COMPILER = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)
# Classes reach a smaller bound twice in a minute, and each time the whole heap is collected.
CLASSES = "-XX:MetaspaceSize=128m"
JVM = " ".join((COLLECTOR, CLASSES, *COMPILER))
CODEGEN = "spark.sql.codegen.factoryMode"
# Spark writes code for each task anew, also where it has compiled the same before, and it takes as
# long as the interpreter takes longer for some ten thousand records.
WORTH_CODEGEN = 30_000
# A cluster has its own addresses, and its own way to write a checkpoint.
ON_ONE_MACHINE = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # A worker asks for state a dozen times in each task; a socket of TCP takes longer to answer.
    "spark.python.unix.domain.socket.enabled": "true",
    # Hadoop's local file system forks a shell for permissions, dozens of times a batch.
    "spark.sql.streaming.checkpointFileManagerClass": (
        f"{STREAMING}.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkOptions:
    """What differs between a laptop and a cluster."""

    jars: Sequence[Path]
    master: str = "local[2]"
    driver_memory: str = "2g"
    shuffle_partitions: int = 2
    scratch: Path
    log_file: Path
    # Whether the session reads Delta tables; the streams write them without Spark.
    reads_lake: bool = False
    # For the driver's JVM, beside those that every JVM gets.
    java_options: Sequence[str] = ()
    # Holds `hive-site.xml`, for a session that reads tables by name; it starts seconds later.
    hive_site: Path | None = None


def create_session(options: SparkOptions) -> SparkSession:
    """Start Spark, or find the one that runs in this process."""
    code = None if _is_one_machine(options.master) else write_code_archive(options.scratch)
    _choose_python(code)
    placed = ON_ONE_MACHINE if code is None else _shipped(options.jars, code)
    builder = SparkSession.Builder().master(options.master).appName("userflow")
    for key, value in {**_fixed(), **_chosen(options), **placed}.items():
        builder = builder.config(key, value)
    # Pandas 3 is what we test with; Spark says at every start that it has not.
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    with _own_process(options.log_file):
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    if code is not None:
        session.sparkContext.addPyFile(str(code))
    return session


def suit_codegen(session: SparkSession, records: int) -> None:
    """Let Spark generate code for rows, or interpret, whichever is faster for that many records.

    Code for whole stages is another setting, and stays as it is.
    """
    session.conf.set(CODEGEN, "FALLBACK" if records >= WORTH_CODEGEN else "NO_CODEGEN")


def _is_one_machine(master: str) -> bool:
    """Whether the driver is also the executor; `local-cluster[...]` has executors of its own."""
    return master == "local" or master.startswith("local[")


def _choose_python(code: Path | None) -> None:
    """Workers must find the same python and packages; another one on PATH would be picked else."""
    if code is None or "PYSPARK_PYTHON" not in os.environ:
        os.environ["PYSPARK_PYTHON"] = sys.executable
    if code is not None:
        # Spark asks a worker beside the driver for the schema of the state, and sends it no files.
        found = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(code), *([found] if found else [])])


def _shipped(jars: Sequence[Path], code: Path) -> dict[str, str]:
    """Executors elsewhere get from the driver what is not part of Spark and Python."""
    return {
        "spark.jars": ",".join(str(jar) for jar in jars),
        # An executor keeps what it is sent in its own working directory. Workers find the archive
        # by themselves, but the process they are forked from begins with a module of ours.
        "spark.executorEnv.PYTHONPATH": code.name,
        # A query reads with one task for each core that is known when it starts.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    }


@contextmanager
def _own_process(log_file: Path) -> Iterator[None]:
    """Let the JVM that starts here write to a file, and leave SIGTERM to us.

    A JVM that inherits an ignored signal keeps ignoring it: a signal to the whole process group
    must not end it before the epoch that runs is finished. It ends with this process.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stderr.flush()
    standard_error = os.dup(2)
    try:
        with log_file.open("ab") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        signal.signal(signal.SIGTERM, handler)


def _chosen(options: SparkOptions) -> dict[str, str]:
    jars = [str(jar) for jar in options.jars]
    hive = [] if options.hive_site is None else [str(options.hive_site)]
    return {
        **(WITH_LAKE if options.reads_lake or hive else {}),
        **({"spark.sql.catalogImplementation": "hive"} if hive else {}),
        "spark.driver.extraClassPath": os.pathsep.join([*hive, *jars]),
        # A heap grows by being collected as a whole, 0.3 s each time: what an epoch has broadcast
        # goes no sooner.
        "spark.driver.extraJavaOptions": " ".join(
            (JVM, f"-Xms{options.driver_memory}", *map(_quoted, options.java_options))
        ),
        "spark.driver.memory": options.driver_memory,
        "spark.local.dir": str(options.scratch),
        "spark.sql.warehouse.dir": str(options.scratch / "warehouse"),
        # Fixed by the first batch of a checkpoint.
        "spark.sql.shuffle.partitions": str(options.shuffle_partitions),
    }


def _quoted(option: str) -> str:
    """A path may hold a space."""
    return f'"{option}"'


def _fixed() -> dict[str, str]:
    return {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.scheduler.mode": "FAIR",  # jobs of one driver do not wait for each other
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.maxResultSize": "0",  # an epoch's packed rows come to the driver
        "spark.python.daemon.module": "streaming.worker_daemon",
        # Set for some operators only, and workers are shared by what has the same environment.
        "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
        # A worker is one of several processes: each takes one core.
        "spark.executorEnv.POLARS_MAX_THREADS": "1",
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        # Polars gives memory back after half a second, and the next epoch asks for it again.
        "spark.executorEnv._RJEM_MALLOC_CONF": "dirty_decay_ms:10000,muzzy_decay_ms:10000",
        "spark.executorEnv.PYTHONWARNINGS": "ignore::FutureWarning",
        # One Arrow batch for each task: packing pays by the batch.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "20000",
        "spark.executor.extraJavaOptions": JVM,
        # What is packed is compressed already.
        "spark.shuffle.compress": "false",
        # An exchange of a few packed rows has nothing that adaptive execution could adapt.
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.streaming.stateStore.providerClass": (
            f"{STREAMING}.state.RocksDBStateStoreProvider"
        ),
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
        # Counting rows reads before each write.
        "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
        "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
        "spark.sql.streaming.minBatchesToRetain": "20",
    }
