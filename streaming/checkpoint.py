"""A checkpoint's place and identity: Spark writes its id once, and epochs carry it."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import SparkSession

__all__ = ["checkpoint_id", "new_checkpoint"]


def checkpoint_id(spark: SparkSession, place: str) -> str | None:
    """The id of the checkpoint at a path or URI; None if there is none."""
    files, path = _open(spark, f"{place}/metadata")
    if not files.exists(path):
        return None
    stream = files.open(path)
    try:
        text = _jvm(spark).org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
    finally:
        stream.close()
    return str(json.loads(text)["id"])


def new_checkpoint(spark: SparkSession, place: str, id_: str) -> None:
    """Begin an empty checkpoint with an id of ours, in place of what is there."""
    files, folder = _open(spark, place)
    files.delete(folder, True)
    files, path = _open(spark, f"{place}/metadata")
    stream = files.create(path)
    try:
        stream.write(bytearray(json.dumps({"id": id_}).encode()))
    finally:
        stream.close()


def _open(spark: SparkSession, place: str) -> tuple[Any, Any]:
    """Hadoop's file system of a path or URI, and the path."""
    path = _jvm(spark).org.apache.hadoop.fs.Path(place)
    context = spark.sparkContext._jsc  # noqa: SLF001 - Spark has no other way
    return path.getFileSystem(context.hadoopConfiguration()), path


def _jvm(spark: SparkSession) -> Any:
    return spark._jvm  # noqa: SLF001
