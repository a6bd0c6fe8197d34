"""The process that Spark forks its Python workers from, with what they all need imported once.

A worker of Spark's own daemon imports pandas and pyspark after the fork, two seconds of a core for
each of the workers that a query starts. Arrow and NumPy take care of their threads in a fork;
polars does not, so every worker imports it for itself.

Behind each task the daemon's workers collect garbage, which takes them 50 ms among all that they
have imported. So what a task has imported is kept out of that.
"""

import gc
import sys
from functools import partial
from typing import BinaryIO

import pandas as pd  # noqa: F401
import pyarrow as pa  # noqa: F401
import pyspark.daemon
import pyspark.sql.streaming.stateful_processor
import pyspark.worker

known = 0
main = pyspark.worker.main


def run_task(infile: BinaryIO, outfile: BinaryIO) -> None:
    """Spark's own, on the thread of polars, and then nothing that it imported is garbage."""
    global known  # noqa: PLW0603 - of the process
    from streaming.polars_thread import on_polars_thread  # noqa: PLC0415 - not before the fork

    on_polars_thread(partial(main, infile, outfile))
    if len(sys.modules) > known:
        gc.freeze()
        known = len(sys.modules)


if __name__ == "__main__":
    pyspark.worker.main = run_task  # where a worker looks for it, after the fork
    pyspark.daemon.manager()
